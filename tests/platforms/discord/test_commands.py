"""Slash commands and context menus on Discord, and what is private about them."""

from __future__ import annotations

import io
import zipfile

import pytest
from structlog.testing import capture_logs

from bot.chat.discord.commands import REMEMBERED
from bot.commands import COMMANDS
from bot.settings import Settings
from bot.texts import say
from tests.bot.fake_model import FakeModel
from tests.bot.samples import encoded, photo, sound

from .channel import Channel
from .interactions import MESSAGE_MENU, SLASH, Interaction
from .model import Message
from .protocol import MANAGE_SERVER, PERMISSIONS
from .running import RunningBot, action, bot_on, for_discord, until, verbs
from .server import Call, DiscordServer, Status, User

FILE = ("photo.png", encoded(photo(), "PNG"), "image/png")
VOICE = ("memo.ogg", sound(), "audio/ogg")
LOCALES = {"de": "de", "es-ES": "es", "es-419": "es", "hi": "hi", "pt-BR": "pt", "ru": "ru"}


@pytest.fixture
def general(bot: RunningBot) -> Channel:
    return bot.server.guild("home").channel("general")


@pytest.fixture
def ada(bot: RunningBot) -> User:
    return bot.server.user("Ada")


def newest(model: FakeModel) -> tuple[str, int]:
    """The words and the number of pictures of the newest message of the last request."""
    content = model.prompt()[-1][1]
    if isinstance(content, str):
        return content.removeprefix("Ada: "), 0
    words = "".join(part.get("text", "") for part in content)
    return words.removeprefix("Ada: "), sum(part["type"] == "image_url" for part in content)


def registrations(server: DiscordServer) -> list[Call]:
    return [call for call in server.calls if call.method == "PUT" and call.path.endswith("/commands")]


async def told(bot: RunningBot, interaction: Interaction, words: str = "") -> Message:
    """What the person is told for their command or press, once that holds `words`."""
    return await bot.server.until(lambda: next((m for m in interaction.answers if words in m.content), None))


async def test_ask_with_a_file(bot: RunningBot, model: FakeModel, general: Channel, ada: User) -> None:
    model.say("A *rainbow*.")
    command = await general.slash(ada, "ask", {"question": "what is this?", "file": FILE})
    answer = await bot.answer(general, "A *rainbow*.")
    assert command.response_type == 5
    assert answer is command.original
    assert not answer.ephemeral
    assert newest(model) == ("what is this?", 1)
    assert verbs(answer) == ["again", "good", "bad"]
    model.say("A cloud.")
    again = await general.press(ada, answer, action(answer, "again"))
    await bot.server.until(lambda: again.responses and answer.content == "A cloud." and "again" in verbs(answer))
    assert general.bot_messages() == [answer]


async def test_ask_in_private_and_with_nothing_to_ask(bot: RunningBot, model: FakeModel, ada: User) -> None:
    direct = bot.server.dm(ada)
    await direct.slash(ada, "ask", {"question": "2+2?"})
    await bot.answer(direct, "ok")
    assert newest(model) == ("2+2?", 0)
    empty = await direct.slash(ada, "ask")
    await told(bot, empty, "Write your question after the command")
    assert len(model.chats) == 1


async def test_long_answers_go_on_in_messages_of_their_own(
    bot: RunningBot, model: FakeModel, general: Channel, ada: User
) -> None:
    model.say("word " * 700 + "the end.")
    await general.slash(ada, "ask", {"question": "tell me"})
    await bot.server.until(lambda: (said := general.bot_messages()) and "the end." in said[-1].content and verbs(said[-1]))
    assert len(general.bot_messages()) == 2


async def test_describe_and_transcribe(bot: RunningBot, model: FakeModel, general: Channel, ada: User) -> None:
    await general.slash(ada, "describe", {"file": FILE})
    await bot.answer(general, "ok")
    assert newest(model)[1] == 1
    model.hear("what time is it")
    chats = len(model.chats)
    await general.slash(ada, "transcribe", {"file": VOICE})
    await bot.answer(general, "what time is it", 1)
    assert len(model.chats) == chats
    nothing = [await general.slash(ada, name) for name in ("describe", "transcribe")]
    await told(bot, nothing[0], "I see no picture")
    await told(bot, nothing[1], "I see no recording")


@pytest.mark.parametrize("name", ["help", "privacy", "status", "settings", "forget", "export", "examples"])
async def test_what_only_the_person_sees(bot: RunningBot, general: Channel, ada: User, name: str) -> None:
    command = await general.slash(ada, name)
    answer = await told(bot, command)
    assert (command.response_type, answer.ephemeral) == (5, True)
    assert not general.bot_messages()
    known = {"help": "/transcribe", "privacy": "What I keep", "status": "The model: ready", "settings": "Persona: default"}
    assert known.get(name, "") in answer.content


async def test_the_language_of_the_person(bot: RunningBot, general: Channel) -> None:
    inge = bot.server.user("Inge", locale="de")
    await told(bot, await general.slash(inge, "reset"), say("de", "reset-done"))
    done = await told(bot, await general.slash(inge, "settings", {"language": "es"}))
    assert (done.content, done.ephemeral) == (say("es", "settings-done"), True)
    await told(bot, await general.slash(inge, "reset"), say("es", "reset-done"))


async def test_several_settings_at_once_and_who_may(bot: RunningBot, general: Channel, ada: User) -> None:
    assert general.guild is not None
    refused = await general.slash(ada, "settings", {"memory": 3})
    await told(bot, refused, "only its admins")
    boss = bot.server.user("Boss")
    general.guild.member(boss, administrator=True)
    persona = bot.desk.choices()["persona"][-1]
    command = await general.slash(boss, "settings", {"memory": 3, "persona": persona})
    await bot.server.until(lambda: len(command.answers) == 2)
    assert all(answer.ephemeral for answer in command.answers)
    now = await told(bot, await general.slash(boss, "settings"), f"Persona: {persona}")
    assert "Memory: 3 questions" in now.content


async def test_reset_regenerate_and_stop(bot: RunningBot, model: FakeModel, general: Channel, ada: User) -> None:
    eve = bot.server.user("Eve")
    await told(bot, await general.slash(ada, "stop"), "not writing anything")
    await told(bot, await general.slash(ada, "regenerate"), "no question here yet")
    await general.slash(ada, "ask", {"question": "a number?"})
    await bot.answer(general, "ok", 2)
    await told(bot, await general.slash(eve, "regenerate"), "Only the person who asked")
    model.say("seven")
    fresh = await general.slash(ada, "regenerate")
    await told(bot, fresh, "seven")
    assert newest(model)[0] == "a number?"
    held = model.say("Once upon", " a time", hold=True)
    story = await general.slash(ada, "ask", {"question": "a story"})
    await told(bot, story, "Once upon")
    await told(bot, await general.slash(ada, "stop"), "Stopping.")
    await told(bot, story, "(stopped)")
    assert await until(held.cancelled.is_set)
    await told(bot, await general.slash(ada, "reset"), "out of my mind")
    await told(bot, await general.slash(ada, "ask", {"question": "anew"}), "ok")
    assert [role for role, _ in model.prompt()] == ["system", "user"]


async def test_what_a_server_taught_is_for_those_who_manage_all_of_it(bot: RunningBot, general: Channel) -> None:
    """Who looks after the messages of one channel may not read the questions of the others."""
    moderator, manager = bot.server.user("Max"), bot.server.user("Mia")
    guild = general.guild
    assert guild is not None
    guild.member(moderator, [guild.role("moderators", PERMISSIONS["manage_messages"])])
    guild.member(manager, [guild.role("managers", MANAGE_SERVER)])
    await told(bot, await general.slash(moderator, "examples"), "Only admins")
    await told(bot, await general.slash(manager, "examples"), "0 to learn from")


async def test_forget_asks_first_and_only_its_person(bot: RunningBot, general: Channel, ada: User) -> None:
    await general.slash(ada, "ask", {"question": "remember me"})
    await bot.answer(general, "ok")
    sure = await told(bot, await general.slash(ada, "forget"), "cannot be undone")
    assert verbs(sure) == ["forget", "keep"]
    foreign = await general.press(bot.server.user("Eve"), sure, action(sure, "forget"))
    await told(bot, foreign, "not yours")
    await general.press(ada, sure, action(sure, "keep"))
    await bot.server.until(lambda: sure.content == "Nothing was deleted." and not verbs(sure))
    assert "remember me" in str(await bot.store.export("discord", str(ada.id)))
    again = await told(bot, await general.slash(ada, "forget"), "cannot be undone")
    await general.press(ada, again, action(again, "forget"))
    await bot.server.until(lambda: "I deleted 1 message " in again.content and not verbs(again))
    assert again.ephemeral
    assert "remember me" not in str(await bot.store.export("discord", str(ada.id)))


async def test_teach_and_examples(bot: RunningBot, general: Channel, ada: User) -> None:
    lesson = {"question": "Whose badge is this?", "answer": "Ours.\nSince 1907.", "file": FILE}
    taught = await told(bot, await general.slash(ada, "teach", lesson), "I keep that")
    assert (taught.ephemeral, verbs(taught)) == (True, ["teaching-yes", "teaching-no"])
    await general.press(ada, taught, action(taught, "teaching-yes"))
    await bot.server.until(lambda: "may be used to train me" in taught.content and not verbs(taught))
    await told(bot, await general.slash(bot.server.user("Bob"), "examples"), "Only admins")
    boss = bot.server.user("Boss")
    assert general.guild is not None
    general.guild.member(boss, administrator=True)
    shown = await told(bot, await general.slash(boss, "examples"), "Ours.\nSince 1907.")
    assert ("> Whose badge is this?" in shown.content, "with a picture" in shown.content) == (True, True)
    await general.press(boss, shown, action(shown, "example-drop"))
    await bot.server.until(lambda: "0 to learn from" in shown.content and not verbs(shown))


async def test_import_of_a_file(bot: RunningBot, general: Channel, ada: User) -> None:
    good = '{"conversations": [{"from": "human", "value": "Whose badge?"}, {"from": "gpt", "value": "Ours."}]}\n'
    lesson = {"question": "import", "file": ("club.jsonl", (good + "{}\n" * 6).encode(), "text/plain")}
    await told(bot, await general.slash(ada, "teach", lesson), "Only admins")
    assert general.guild is not None
    general.guild.member(ada, administrator=True)
    await told(bot, await general.slash(ada, "teach", {"question": "Whose badge?"}), "the answer on the lines below")
    command = await general.slash(ada, "teach", lesson)
    done = await told(bot, command, "1 taken, 0 I had already, 6 could not be used")
    assert (done.ephemeral, verbs(done)) == (True, ["teaching-yes", "teaching-no"])
    listed = await bot.server.until(lambda: next((m for m in command.answers if m.attachments), None))
    assert listed.ephemeral
    assert "Record 7: this is no conversation" in listed.attachments[0].data.decode()
    await general.press(ada, done, action(done, "teaching-yes"))
    await bot.server.until(lambda: "may be used to train me" in done.content)
    assert [one.answer for one in await bot.store.usable(f"discord:server:{general.guild.id}")] == ["Ours."]


async def test_export_is_a_file_for_the_person_alone(bot: RunningBot, general: Channel, ada: User) -> None:
    await general.slash(ada, "ask", {"question": "keep this", "file": FILE})
    await bot.answer(general, "ok")
    command = await general.slash(ada, "export")
    message = await bot.server.until(lambda: next((m for m in command.answers if m.attachments), None))
    assert message.ephemeral
    with zipfile.ZipFile(io.BytesIO(message.attachments[0].data)) as archive:
        assert "keep this" in archive.read("jnana.json").decode()
        assert any(name.startswith("files/") for name in archive.namelist())
    assert len(general.bot_messages()) == 1


async def test_the_menu_asks_about_a_message(bot: RunningBot, model: FakeModel, general: Channel, ada: User) -> None:
    picture = await general.say(bot.server.user("Bob"), "my holiday", files=[FILE])
    menu = await general.context_menu(ada, "Ask about this", picture)
    modal = await bot.server.until(lambda: menu.modal)
    assert modal["title"] == "Ask about this"
    model.say("In Rome.")
    sent = await bot.server.submit_modal(ada, menu, {"text": "where is this?"})
    answer = await bot.answer(general, "In Rome.")
    assert answer is sent.original
    assert newest(model) == ("> my holiday\n\nwhere is this?", 1)


async def test_the_menu_describes_and_transcribes(bot: RunningBot, model: FakeModel, general: Channel, ada: User) -> None:
    bob = bot.server.user("Bob")
    picture, voice = await general.say(bob, files=[FILE]), await general.say(bob, voice=(sound(), 1.0))
    await general.context_menu(ada, "Describe picture", picture)
    await bot.answer(general, "ok")
    assert newest(model)[1] == 1
    model.hear("hello from Bob")
    await general.context_menu(ada, "Transcribe", voice)
    await bot.answer(general, "hello from Bob", 1)
    await told(bot, await general.context_menu(ada, "Describe picture", await general.say(bob, "just words")), "no picture")


async def test_commands_are_registered_in_all_languages(bot: RunningBot) -> None:
    slash = {command["name"]: command for command in bot.server.commands if command["type"] == SLASH}
    menus = {command["name"]: command for command in bot.server.commands if command["type"] == MESSAGE_MENU}
    assert list(slash) == list(COMMANDS)
    assert set(menus) == {"Ask about this", "Describe picture", "Transcribe"}
    for name, command in slash.items():
        assert command["description_localizations"] == localized(f"command-{name}")
        for option in command.get("options", ()):
            assert option["description_localizations"] == localized(f"option-{option['name']}")
        assert (command["contexts"], command["integration_types"]) == ([0, 1], [0])
    assert [menu["name_localizations"] for menu in menus.values()] == [
        localized(f"menu-{name}") for name in ("ask", "describe", "transcribe")
    ]


def localized(key: str) -> dict[str, str]:
    return {locale: say(language, key) for locale, language in LOCALES.items()}


async def test_commands_are_registered_again_only_when_they_changed(
    server: DiscordServer, model: FakeModel, settings: Settings
) -> None:
    there = for_discord(settings, server)
    remembered = there.jnana_home / REMEMBERED
    for expected in (1, 1):
        async with bot_on(server, there, model.url):
            assert len(registrations(server)) == expected
            assert str(server.bot.id) in remembered.read_text()
    remembered.write_text("{}")
    async with bot_on(server, there, model.url):
        assert len(registrations(server)) == 2


async def test_people_can_write_although_commands_are_not_registered(
    server: DiscordServer, model: FakeModel, settings: Settings
) -> None:
    there, ada = for_discord(settings, server), server.user("Ada")
    server.fail("PUT", "/applications/*/commands", Status(400))
    async with bot_on(server, there, model.url) as bot:
        await server.dm(ada).say(ada, "hello")
        await bot.answer(server.dm(ada), "ok")
        assert not server.commands
        assert not (there.jnana_home / REMEMBERED).exists()


async def test_commands_that_come_too_late_do_no_harm(bot: RunningBot, model: FakeModel, general: Channel, ada: User) -> None:
    with capture_logs() as logs:
        late = await general.slash(ada, "ask", {"question": "too late"})
        bot.server.expire(late)
        menu = await general.context_menu(ada, "Ask about this", await general.say(ada, "words"))
        bot.server.expire(menu)
        await until(lambda: sum(call.status == 404 for call in bot.server.calls) == 2)
        await general.slash(ada, "ask", {"question": "in time"})
        await bot.answer(general, "ok")
    assert (late.responses, menu.responses, len(model.chats)) == ([], [], 1)
    assert "interaction came too late" in [line["event"] for line in logs]
    assert not [line for line in logs if line["log_level"] in ("error", "critical")]
