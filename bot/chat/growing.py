"""A turn as its events have told it so far: what every platform draws, again and again, until the final one."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.chat.base import Delta, Failed, Finished, Notice, Queued, Restarted, Transcribed, TurnEvent


@dataclass
class Growing:
    """What the events of a turn amount to so far."""

    position: int | None = None
    transcripts: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    text: str = ""
    final: Finished | Failed | None = None

    @property
    def beginning(self) -> bool:
        return not self.text and self.final is None

    def apply(self, event: TurnEvent) -> None:
        match event:
            case Queued():
                self.position = event.position or None
            case Transcribed():
                self.transcripts.append(event.text)
            case Notice():
                self.notices.append(event.sentence)
            case Restarted():
                self.text = ""
            case Delta():
                self.position = None
                self.text += event.text
            case Finished() | Failed():
                self.position = None
                self.final = event
