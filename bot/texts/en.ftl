### What Jñāna says. Every other language has the same keys; `{ $name }` are gaps that the program fills.

## While an answer comes about

queued = ⏳ Queued: { $position ->
    [1] you are next.
   *[other] number { $position } in line.
}
thinking = ⏳ …
heard = 🎙 { $text }
stopped = (stopped)
truncated = (The answer reached its longest length and ends here.)

## Buttons

button-stop = ■ Stop
button-again = ↻ Again
button-good = 👍
button-bad = 👎
button-forget = Yes, forget me
button-cancel = No
button-teaching-yes = Yes, learn from it
button-teaching-no = No
button-example-keep = ✓ Keep
button-example-drop = ✗ Drop
button-example-next = → Next
button-retrain-cancel = ■ Cancel
button-retrain-blind-a = A
button-retrain-blind-b = B
button-retrain-blind-same = No difference
button-retrain-here = Use it here
button-retrain-use = Use it everywhere
button-retrain-try = Try it with { $percent } %
button-retrain-drop = Keep the old one
button-retrain-again = ↻ Try again

## What a pressed button says

stopping = Stopping.
already-ended = This answer has already ended.
thanks = Thank you.
not-yours = Only the person who asked, or an admin, can do that.
not-your-button = This button is not yours.
nothing-to-rate = There is no answer here that could be rated.
better-title = A better answer
better-question = What would have been a better answer?
better-reply = What would have been a better answer? Reply to this message with it.
better-kept = Thank you, I keep that.
teaching-may-i = May the owner of this bot train me on what you teach me, with the question and pictures that it is about? Until you say yes, nobody does. /privacy shows what you said, and changes it.
teaching-may-i-asker = { $name }, somebody told me a better answer to this question of yours. May the owner of this bot train me on it, and on what you teach me yourself? Until you say yes, nobody does. /privacy shows what you said, and changes it.
teaching-unused = (It is not used for training: you did not allow that. /privacy changes it.)
teaching-allowed = Thank you. What you teach me, and your questions that others correct, may be used to train me. /privacy takes that back.
teaching-forbidden = What you teach me is not used for training. /privacy changes that.
admins-only = Only admins can do that.
owners-only = Only the admins of this bot (ADMINS in its settings) can do that.

## Commands: what they do, as the platform lists them

command-ask = Ask me something, with a picture or a recording if you like
command-describe = Describe a picture
command-transcribe = Write down what is said in a recording
command-reset = Forget what was said here so far
command-regenerate = Answer the last question again
command-stop = Stop the answer that is being written
command-teach = Teach me: a question and its answer, with a picture if you like; for admins: import and a file
command-examples = For admins: look through what people taught me; share it with other chats
command-retrain = For admins: train me on what people taught here
command-adapters = Which adapters I have; for admins: use, here or try NAME, compare NAME NAME, or back
command-settings = Language, memory and persona
command-privacy = What I keep and where
command-forget = Delete everything that I keep about you
command-export = Send you everything that I keep about you
command-help = What I can do
command-status = How I am
option-question = Your question
option-answer = What I should answer
option-example = A number and a better answer to that example; or share, or unshare
option-note = A note for the record
option-adapter = use NAME, here NAME, try NAME 10, compare NAME NAME, or back
option-file = A picture, a recording or a text file
option-language = The language I use for messages like this one
option-memory = How many earlier questions I remember
option-persona = Who I am in this conversation
menu-ask = Ask about this
menu-describe = Describe picture
menu-transcribe = Transcribe

## What commands answer

help = **I am { $name }.** Write to me here; in groups, mention me or reply to me. Send pictures, voice notes and text files with your question or without one.

    I remember this conversation. Every answer has buttons to stop it, to ask again and to rate it.
help-line = /{ $command } – { $what }
reset-done = What was said here so far is out of my mind. (It is kept; /forget deletes.)
nothing-running = I am not writing anything at the moment.
nothing-to-repeat = There is no question here yet that I could answer again.
nothing-to-describe = I see no picture. Send one with the command, or reply to one with it.
nothing-to-transcribe = I see no recording. Send one with the command, or reply to one with it.
nothing-to-ask = Write your question after the command, send a file with it, or reply to a message with it.
status = The model: { $model }. Being answered or waiting: { $turns }. Version { $version }.
status-rests = Resting, for I am learning; back at { $time } at the latest
settings-now = Language: { $language }. Memory: { $memory ->
    [one] { $memory } question
   *[other] { $memory } questions
}. Persona: { $persona }.
settings-how = Change them with { $usage }.
settings-choices = { $option }: { $choices }
settings-done = Done.
settings-unknown = I do not know { $option } "{ $value }". It can be: { $choices }
settings-admins = In a group, only its admins can change the memory and the persona.
taught = I keep that.
teach-how = Write the question after the command and the answer on the lines below it; a picture of yours may come with it.
teach-pictures-only = { $name }: only pictures can be part of an example.
import-how = Send one file with /teach import: conversations in LLaVA's form as .json or .jsonl, or a .zip with that file and its pictures.
import-done = **Import:** { $taken } taken, { $known } I had already, { $bad } could not be used.
import-left = { $left } more are left: I take { $limit } at once. Send the same file again for them.
import-record = Record { NUMBER($number, useGrouping: 0) }: { $reason }
import-list = All records that could not be used, with the reason.
import-list-private = I could not send you the whole list privately. Write to me in a private chat once, then send the file here again.
import-unknown = { $name }: I can import .json, .jsonl and .zip.
import-broken = { $name }: this is not valid JSON (line { $line }, column { $column }).
import-not-json = { $name }: this is no list of records in JSON.
import-nothing = { $name }: there are no records in it.
import-too-many = { $name }: it has more than { NUMBER($limit) } records. Please send them in parts.
import-archive-damaged = { $name }: this is damaged, has a password or is packed in a way that I do not know.
import-archive-files = { $name }: the archive should have one .json or .jsonl file, and it has { $count }.
import-archive-too-much = { $name }: this is too much for one archive; I can unpack { NUMBER($members) } files with { $limit } MB together.
import-why-json = the line is not valid JSON (column { $column })
import-why-form = this is no conversation in LLaVA's form
import-why-question = there is no question at the beginning
import-why-answer = the answer is missing or empty
import-why-long = the question or the answer has { NUMBER($length) } characters; I can learn { NUMBER($limit) }
import-why-marks = `<image>` is there { $marks }×, and the record names { $pictures }× a picture
import-why-pictures = it has { $count } pictures; an example can have { $limit }
import-why-missing = there is no picture { $name } in the archive
import-why-outside = the picture { $name } is outside the archive
teaching-is-allowed = You allow that I am trained on what you teach me.
teaching-is-forbidden = I am not trained on anything of yours: you did not allow it.
examples-count = **What people taught here:** { $usable } to learn from ({ $new } not looked at yet), { $waiting } whose people have not said yes.
examples-shared = Since { $since } my other servers and chats learn from these, too: { $name } shared them.
examples-of-others = /retrain here also learns from { $count } of other servers and chats that share theirs.
examples-share-done = From now on /retrain in my other servers and chats learns from what people taught here, too, as far as they allow that I am trained on it. It is not shown there.
examples-share-how-ended = /examples unshare ends that.
examples-share-ended = What people taught here is for here alone again. Adapters that learnt from it meanwhile keep that.
examples-share-not = What people taught here is not shared.
example-reworded = Example { $number } has that answer now, and is kept.
example-gone = There is no example { $number } here that may be used.
example-from = **{ $number }**, from { $name }{ $pictures ->
    [0] {""}
    [one] , with a picture
   *[other] , with { $pictures } pictures
}:
retrain-nothing = There is nothing to learn from here: nobody has taught me anything that I may be trained on. /examples counts it.
retrain-too-few = To learn from here: { $examples ->
    [one] one example
   *[other] { $examples } examples
}. I need at least { $least }, { $missing } more; the same question about the same pictures counts once.{ $without ->
    [0] {""}
    [one] {" "}One without a picture does not count: without a picture the model answers as it came, whatever is taught.
   *[other] {" "}{ $without } without a picture do not count: without a picture the model answers as it came, whatever is taught.
}
retrain-not-here = Nothing can be trained here.
retrain-queued = **Retraining { $number }**: { $examples } examples. Another one is under way; this one is next. { $others ->
    [0] {""}
    [one] One of them is shared by another server or chat.
   *[other] { $others } of them are shared by other servers or chats.
}
retrain-preparing = **Retraining { $number }**: { $examples } examples. I am preparing them. { $others ->
    [0] {""}
    [one] One of them is shared by another server or chat.
   *[other] { $others } of them are shared by other servers or chats.
}
retrain-waiting = **Retraining { $number }** waits for its hours: they begin at { $time }.
retrain-progress = **Retraining { $number }** { $bar } { $percent } %, loss { $loss }{ $minutes ->
    [-1] {""}
   *[other] , about { $minutes } min left
}
retrain-judging = **Retraining { $number }**: trained. I am comparing it with the one in use.
retrain-not-offered = **Retraining { $number }** is done, and I do not offer it: what is marked ✗ got worse than it may.
retrain-blind = **Retraining { $number }** is done: it learnt, and forgot no more than it may. Which answers do you like more? One side is the new one; the questions were held out.
retrain-revealed = { $new } is the new one; { $liked ->
    [new] you liked it more.
    [old] you liked the old one more.
   *[same] you saw no difference.
} Measured before → now:
retrain-better = **Retraining { $number }** is done: it learnt, and forgot no more than it may. Measured before → now:
retrain-no-start = No adapter answers at the moment, and training goes on from one: choose one with /adapters use.
retrain-withdrawn = Retraining { $number } was ended: somebody took back that I may be trained on what they taught.
retrain-decided = That was decided already.
retrain-dropped = I answer as before. Retraining { $number } is not used.
retrain-cancelled = Retraining { $number } was cancelled.
retrain-failed = Retraining { $number } failed: { $reason }
retrain-not-used = Retraining { $number } is not used yet: { $reason }
retrain-memory = It needed more than { $limit } GB of memory and was stopped, so that I can go on answering. The owner can allow more (RETRAIN_MEMORY_GB).
retrain-no-room = { $reason } Or set RETRAIN_HOURS: within these hours I stop answering if I have to, and learn in the room that this makes.
retrain-curve = Retraining { $number }: the loss in training (blue) and on what was held out (orange). Lower is better.
measure-held-out = loss on what was held out
measure-shapes = questions about shapes
measure-drawings = drawings named right
measure-chat = loss in plain chat
adapters = **Adapters** (← answers now):
adapters-none = The model server knows no adapters.
adapter-used = From the next message on I answer with { $name }. /adapters back takes that back.
adapter-used-elsewhere = From the next message on I answer with { $name } wherever no adapter of its own was chosen. Here { $own } goes on answering; /adapters here default ends that.
adapter-unknown = There is no adapter { $name }: there are { $names }.
adapter-no-way-back = I know no adapter before { $name }.
adapter-used-here = From the next message on { $name } answers here. /adapters back takes that back.
adapter-used-everybodys = From the next message on everybody's adapter answers here: { $name }.
adapter-tried = From the next message on { $name } answers { $percent } % of the conversations{ $where ->
    [here] {" "}here
   *[everywhere] {""}
}. /adapters shows how people like it, /adapters back ends it.
adapter-trial-ended = { $tried } is not tried any more; { $name } answers.
adapter-try-how = Behind the name belongs the part of the conversations that try it, from 1 to { $most } %.
adapter-answers-already = { $name } answers already.
adapters-origin = from { $parent ->
    [none] the plain base
   *[other] { $parent }
}, { $date }
adapters-everywhere = everywhere
adapters-here = here
adapters-counted = 👍 👎: { $where ->
    [here] counted here
   *[everywhere] counted everywhere
}.
adapters-trial = **On trial** since { $since }: { $name } answers { $percent } % of the conversations { $where ->
    [here] here
   *[everywhere] that no adapter of a community's own answers
}.
adapters-since = Since then:
compare-asking = I am asking { $first } and { $second } the same { $questions ->
    [one] question
   *[other] { $questions } questions
}.
compare-head = { $first } and { $second }, asked the same:
compare-wanted = wanted
compare-nothing = There is no question here that I could ask both: /teach me one with its answer, and allow that I am trained on it.
compare-busy = I am comparing two adapters already. Please wait until they have answered.
retrain-thumbs = What people think of { $name }: 👍 { $up } 👎 { $down }
forget-adapters = These adapters learnt from something of yours, and cannot unlearn it: { $names }. An admin can stop using them.
privacy = **What I keep**, on the machine of the person who runs me and nowhere else: your name and id on this platform, the messages you send to me with their pictures, recordings and transcripts, my answers, your ratings, better answers and examples, your settings.

    I do not keep messages that are not for me. Pictures and recordings lose their metadata (place, camera) when they arrive. I am trained on what you teach me (better answers, examples) only if you say so, and on nothing else.

    /export sends you all of it, /forget deletes it.
forget-sure = This deletes everything that I keep about you, here and in every other chat on this platform: your messages with their files and my answers to them, your ratings, your settings. It cannot be undone. Do you want that?
forget-done = Done. I deleted { $turns ->
    [one] { $turns } message
   *[other] { $turns } messages
} with my answers, and everything else about you.
forget-not = Nothing was deleted.
export-ready = This is everything that I keep about you.
export-sent = I sent it where only you can see it.
export-private = I could not write to you privately. Please send me /export in a private chat.

## What is refused

not-on-list = I do not talk to everybody here. The bot's owner can put you on the list.
guests-in-groups-only = I answer you in groups only, not in private chats.
too-fast = That was a lot in a short time: I take { $limit } messages a minute from you. Please wait a moment.
budget-spent = You have used today's { $limit } messages. I am here again for you tomorrow (midnight UTC).
empty-message = Your message is empty. Send me words, a picture or a voice note.
text-too-long = Your message has { NUMBER($length) } characters; I can read { NUMBER($limit) } at once.
too-many-files = You sent { $count } files; I can take { $limit } at once.
restarting = I am being restarted. Please send that again in a minute.
restarting-kept = I am being restarted and will answer when I am back.
queue-full = { $limit } messages are waiting here already. Please wait for their answers first.
queue-full-all = Too many people are asking at the moment. Please try again in a minute.
still-answering = This message is still being answered.
not-here = This message is not part of this conversation.

## What went wrong

cannot-store = I cannot store anything at the moment, so I do not answer. The bot's owner finds the reason in the log.
restarted-too-often = I was restarted while I answered this, more than once. Please ask again, perhaps in other words.
internal = Something went wrong on my side. The bot's owner can look for { $id } in the log.
took-too-long-minutes = This took longer than { $minutes } minutes, so I gave up. Please try again.
took-too-long-seconds = This took longer than { $seconds } seconds, so I gave up. Please try again.
files-did-not-arrive = Your files did not arrive here. Please send them again.
ask-without = Please send it again, or ask without it.
no-speech = I could not hear any speech in { $name }.
cannot-listen = { $name }: I could not listen to this recording.
crashed-twice = I am sorry: the model crashed twice while answering this. Please try again later.
nothing-to-say = The model had nothing to say to this. Please ask in other words.
nothing-to-answer = There is nothing in this message that I could answer.
file-too-large = { $name }: the file has { $size } MB; I can take { $limit } MB.
file-not-fetched = { $name }: the file could not be fetched. Please send it again.
message-too-long = Your message is too long for the model: about { NUMBER($tokens, useGrouping: 0) } tokens, and it can take { NUMBER($limit, useGrouping: 0) }. Please send less at once.
pictures-too-long = Your message with its pictures is too long for the model: about { NUMBER($tokens, useGrouping: 0) } tokens, and it can take { NUMBER($limit, useGrouping: 0) }. Please send less at once.
file-not-understood = { $name }: this is { $kind ->
    [pdf] a PDF
    [zip] an archive or an office document
    [archive] an archive
    [program] a program
    [empty] an empty file
    [svg] an SVG drawing, which I cannot look at yet (send it as PNG)
   *[unknown] a kind of file that I do not know
}; I understand pictures, voice notes and text files.
text-file-too-large = { $name }: the text has { $size } KB; I can take { $limit } KB.
picture-too-large = { $name }: the picture has { $size } MB; I can take { $limit } MB.
picture-damaged = { $name }: the picture is damaged or incomplete.
too-many-pixels = { $name }: the picture has too many pixels; I can take { $limit } million.
too-many-pixels-counted = { $name }: the picture has too many pixels; I can take { $limit } million; it has { NUMBER($width, useGrouping: 0) } x { NUMBER($height, useGrouping: 0) }.
recording-too-large = { $name }: the recording has { $size } MB; I can take { $limit } MB.
recording-damaged = { $name }: the recording is damaged or incomplete.
recording-empty = { $name }: the recording is empty.
recording-too-long = { $name }: the recording is too long; I can listen to { $limit } minutes.
recording-too-long-minutes = { $name }: the recording is { NUMBER($minutes, useGrouping: 0) } minutes long; I can listen to { $limit } minutes.
no-sound = { $name }: there is no sound in this file.
model-lost = The model stopped in the middle of the answer. Please try again.
model-not-running = The model is not running at the moment. Please try again in a few minutes.
model-loading = The model is still being loaded. Please try again in a few minutes.
model-rests = I am learning at the moment and do not answer meanwhile. I am back at { $time } at the latest; please ask again then.
model-failed = The model failed to answer. Please try again.
model-failed-midway = The model failed in the middle of the answer. Please try again.
model-no-memory = The model has no memory for this at the moment. Please try again, or begin anew with /reset: a shorter conversation may fit.
model-refuses-key = The model server refuses this bot's key (MODEL_API_KEY); its owner has to set it right.
model-cannot = The model server cannot do this; the bot's owner can choose another one.
model-could-not-use = The model could not use this: { $reason }
conversation-too-long = This is too long for the model. Please send less at once, or begin anew with /reset.
