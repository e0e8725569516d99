## Während eine Antwort entsteht

queued = ⏳ Warteschlange: { $position ->
    [1] Du bist als Nächstes dran.
   *[other] Platz { $position }.
}
thinking = ⏳ …
heard = 🎙 { $text }
stopped = (abgebrochen)
truncated = (Die Antwort hat ihre größte Länge erreicht und endet hier.)

## Knöpfe

button-stop = ■ Stopp
button-again = ↻ Noch einmal
button-good = 👍
button-bad = 👎
button-forget = Ja, vergiss mich
button-cancel = Nein
button-teaching-yes = Ja, lerne daraus
button-teaching-no = Nein
button-example-keep = ✓ Behalten
button-example-drop = ✗ Verwerfen
button-example-next = → Weiter
button-retrain-cancel = ■ Abbrechen
button-retrain-blind-a = A
button-retrain-blind-b = B
button-retrain-blind-same = Kein Unterschied
button-retrain-here = Hier nehmen
button-retrain-use = Überall nehmen
button-retrain-try = Mit { $percent } % ausprobieren
button-retrain-drop = Den alten behalten
button-retrain-again = ↻ Noch einmal versuchen

## Was ein gedrückter Knopf sagt

stopping = Ich höre auf.
already-ended = Diese Antwort ist schon zu Ende.
thanks = Danke.
not-yours = Das kann nur, wer die Frage gestellt hat, oder ein Admin.
not-your-button = Dieser Knopf ist nicht für dich.
nothing-to-rate = Hier ist keine Antwort, die sich bewerten ließe.
better-title = Eine bessere Antwort
better-question = Was wäre eine bessere Antwort gewesen?
better-reply = Was wäre eine bessere Antwort gewesen? Schreib sie als Antwort auf diese Nachricht.
better-kept = Danke, das hebe ich auf.
teaching-may-i = Darf der Besitzer dieses Bots mich mit dem trainieren, was du mir beibringst, samt der Frage und den Bildern, um die es geht? Bis du Ja sagst, tut es niemand. /privacy zeigt, was du gesagt hast, und ändert es.
teaching-may-i-asker = { $name }, jemand hat mir eine bessere Antwort auf diese Frage von dir gegeben. Darf mich der Besitzer dieses Bots damit trainieren, und mit dem, was du mir selbst beibringst? Bis du ja sagst, tut es niemand. /privacy zeigt, was du gesagt hast, und ändert es.
teaching-unused = (Es wird nicht zum Training benutzt: du hast das nicht erlaubt. /privacy ändert es.)
teaching-allowed = Danke. Was du mir beibringst, und Fragen von dir, die andere berichtigen, dürfen zum Training benutzt werden. /privacy nimmt das zurück.
teaching-forbidden = Was du mir beibringst, wird nicht zum Training benutzt. /privacy ändert das.
admins-only = Das können nur Admins.
owners-only = Das können nur die Admins dieses Bots (ADMINS in seinen Einstellungen).

## Befehle: was sie tun, wie die Plattform sie auflistet

command-ask = Frag mich etwas, gern mit einem Bild oder einer Aufnahme
command-describe = Ein Bild beschreiben
command-transcribe = Aufschreiben, was in einer Aufnahme gesagt wird
command-reset = Vergessen, was hier bisher gesagt wurde
command-regenerate = Die letzte Frage noch einmal beantworten
command-stop = Die Antwort abbrechen, die gerade geschrieben wird
command-teach = Bring mir etwas bei: Frage und Antwort, gern mit Bild; für Admins: import und eine Datei
command-examples = Für Admins: durchsehen, was man mir beigebracht hat; es mit anderen Chats teilen
command-retrain = Für Admins: mich mit dem trainieren, was man mir hier beigebracht hat
command-adapters = Welche Adapter ich habe; für Admins: use, here oder try NAME, compare NAME NAME, oder back
command-settings = Sprache, Gedächtnis und Persona
command-privacy = Was ich aufbewahre und wo
command-forget = Alles löschen, was ich über dich aufbewahre
command-export = Dir alles schicken, was ich über dich aufbewahre
command-help = Was ich kann
command-status = Wie es mir geht
option-question = Deine Frage
option-answer = Was ich antworten soll
option-example = Eine Nummer und eine bessere Antwort zu dem Beispiel; oder share, oder unshare
option-note = Eine Notiz dazu
option-adapter = use NAME, here NAME, try NAME 10, compare NAME NAME oder back
option-file = Ein Bild, eine Aufnahme oder eine Textdatei
option-language = Die Sprache, in der ich Nachrichten wie diese schreibe
option-memory = An wie viele frühere Fragen ich mich erinnere
option-persona = Wer ich in dieser Unterhaltung bin
menu-ask = Dazu etwas fragen
menu-describe = Bild beschreiben
menu-transcribe = Transkribieren

## Was Befehle antworten

help = **Ich bin { $name }.** Schreib mir hier; in Gruppen erwähne mich oder antworte mir. Schick Bilder, Sprachnachrichten und Textdateien, mit einer Frage oder ohne.

    Ich erinnere mich an diese Unterhaltung. Jede Antwort hat Knöpfe, um sie abzubrechen, noch einmal zu fragen und sie zu bewerten.
help-line = /{ $command } – { $what }
reset-done = Ich denke nicht mehr an das, was hier bisher gesagt wurde. (Aufbewahrt bleibt es; /forget löscht es.)
nothing-running = Ich schreibe gerade nichts.
nothing-to-repeat = Hier gibt es noch keine Frage, die ich noch einmal beantworten könnte.
nothing-to-describe = Ich sehe kein Bild. Schick eines mit dem Befehl oder antworte damit auf eines.
nothing-to-transcribe = Ich sehe keine Aufnahme. Schick eine mit dem Befehl oder antworte damit auf eine.
nothing-to-ask = Schreib deine Frage hinter den Befehl, schick eine Datei mit oder antworte damit auf eine Nachricht.
status = Das Modell: { $model }. Gerade beantwortet oder wartend: { $turns }. Version { $version }.
status-rests = Ruht, weil ich gerade lerne; spätestens um { $time } wieder da
settings-now = Sprache: { $language }. Gedächtnis: { $memory ->
    [one] { $memory } Frage
   *[other] { $memory } Fragen
}. Persona: { $persona }.
settings-how = Ändern kannst du das mit { $usage }.
settings-choices = { $option }: { $choices }
settings-done = Erledigt.
settings-unknown = { $option } „{ $value }“ kenne ich nicht. Möglich sind: { $choices }
settings-admins = In einer Gruppe können nur ihre Admins das Gedächtnis und die Persona ändern.
taught = Das hebe ich auf.
teach-how = Schreib die Frage hinter den Befehl und die Antwort in die Zeilen darunter; ein Bild von dir kann dabei sein.
teach-pictures-only = { $name }: Nur Bilder können Teil eines Beispiels sein.
import-how = Schick zu /teach import genau eine Datei mit: Gespräche in der Form von LLaVA als .json oder .jsonl, oder ein .zip mit dieser Datei und ihren Bildern.
import-done = **Import:** { $taken } übernommen, { $known } hatte ich schon, { $bad } waren nicht zu gebrauchen.
import-left = { $left } sind noch übrig: ich nehme { $limit } auf einmal. Schick dafür dieselbe Datei noch einmal.
import-record = Datensatz { NUMBER($number, useGrouping: 0) }: { $reason }
import-list = Alle Datensätze, die nicht zu gebrauchen waren, mit dem Grund.
import-list-private = Ich konnte dir die ganze Liste nicht privat schicken. Schreib mir einmal im privaten Chat und schick die Datei dann noch einmal hierher.
import-unknown = { $name }: Ich kann .json, .jsonl und .zip importieren.
import-broken = { $name }: Das ist kein gültiges JSON (Zeile { $line }, Spalte { $column }).
import-not-json = { $name }: Das ist keine Liste von Datensätzen in JSON.
import-nothing = { $name }: Darin sind keine Datensätze.
import-too-many = { $name }: Das sind mehr als { NUMBER($limit) } Datensätze. Schick sie bitte in Teilen.
import-archive-damaged = { $name }: Das ist beschädigt, hat ein Passwort oder ist auf eine Art gepackt, die ich nicht kenne.
import-archive-files = { $name }: Im Archiv sollte genau eine .json- oder .jsonl-Datei sein, es sind { $count }.
import-archive-too-much = { $name }: Das ist zu viel für ein Archiv; ich kann { NUMBER($members) } Dateien mit zusammen { $limit } MB auspacken.
import-why-json = die Zeile ist kein gültiges JSON (Spalte { $column })
import-why-form = das ist kein Gespräch in der Form von LLaVA
import-why-question = am Anfang steht keine Frage
import-why-answer = die Antwort fehlt oder ist leer
import-why-long = Frage oder Antwort hat { NUMBER($length) } Zeichen; ich kann { NUMBER($limit) } lernen
import-why-marks = `<image>` steht { $marks }× da, und der Datensatz nennt { $pictures }× ein Bild
import-why-pictures = es sind { $count } Bilder; ein Beispiel kann { $limit } haben
import-why-missing = im Archiv ist kein Bild { $name }
import-why-outside = das Bild { $name } liegt außerhalb des Archivs
teaching-is-allowed = Du erlaubst, dass ich mit dem trainiert werde, was du mir beibringst.
teaching-is-forbidden = Ich werde mit nichts von dir trainiert: du hast es nicht erlaubt.
examples-count = **Was man mir hier beigebracht hat:** { $usable } zum Lernen ({ $new } noch nicht angesehen), { $waiting } von Leuten, die noch nicht Ja gesagt haben.
examples-shared = Seit { $since } lernen auch meine anderen Server und Chats daraus: { $name } hat sie geteilt.
examples-of-others = /retrain lernt hier auch aus { $count } anderer Server und Chats, die ihre teilen.
examples-share-done = Von jetzt an lernt /retrain auch in meinen anderen Servern und Chats aus dem, was man mir hier beigebracht hat, soweit die Leute erlauben, dass ich damit trainiert werde. Gezeigt wird es dort nicht.
examples-share-how-ended = /examples unshare beendet das.
examples-share-ended = Was man mir hier beigebracht hat, ist wieder nur für hier. Adapter, die inzwischen daraus gelernt haben, behalten das.
examples-share-not = Was man mir hier beigebracht hat, ist nicht geteilt.
example-reworded = Beispiel { $number } hat jetzt diese Antwort und wird behalten.
example-gone = Ein Beispiel { $number }, das benutzt werden darf, gibt es hier nicht.
example-from = **{ $number }**, von { $name }{ $pictures ->
    [0] {""}
    [one] , mit einem Bild
   *[other] , mit { $pictures } Bildern
}:
retrain-nothing = Hier gibt es nichts zu lernen: niemand hat mir etwas beigebracht, mit dem ich trainiert werden darf. /examples zählt es.
retrain-too-few = Zu lernen gibt es hier { $examples ->
    [one] ein Beispiel
   *[other] { $examples } Beispiele
}. Ich brauche mindestens { $least }, also noch { $missing }; dieselbe Frage zu denselben Bildern zählt einmal.{ $without ->
    [0] {""}
    [one] {" "}Eines ohne Bild zählt nicht: Ohne Bild antwortet das Modell, wie es geliefert wurde, was auch gelehrt wird.
   *[other] {" "}{ $without } ohne Bild zählen nicht: Ohne Bild antwortet das Modell, wie es geliefert wurde, was auch gelehrt wird.
}
retrain-not-here = Hier kann nichts trainiert werden.
retrain-queued = **Training { $number }**: { $examples } Beispiele. Ein anderes läuft noch; dieses kommt als nächstes. { $others ->
    [0] {""}
    [one] Eines davon teilt ein anderer Server oder Chat.
   *[other] { $others } davon teilen andere Server oder Chats.
}
retrain-preparing = **Training { $number }**: { $examples } Beispiele. Ich bereite sie vor. { $others ->
    [0] {""}
    [one] Eines davon teilt ein anderer Server oder Chat.
   *[other] { $others } davon teilen andere Server oder Chats.
}
retrain-waiting = **Training { $number }** wartet auf seine Stunden: Sie beginnen um { $time }.
retrain-progress = **Training { $number }** { $bar } { $percent } %, Verlust { $loss }{ $minutes ->
    [-1] {""}
   *[other] , noch etwa { $minutes } min
}
retrain-judging = **Training { $number }**: fertig trainiert. Ich vergleiche es mit dem, was jetzt antwortet.
retrain-not-offered = **Training { $number }** ist fertig, und ich biete es nicht an: was mit ✗ markiert ist, wurde schlechter, als es darf.
retrain-blind = **Training { $number }** ist fertig: Es hat gelernt und nicht mehr vergessen, als es darf. Welche Antworten gefallen dir mehr? Eine Seite ist die neue; die Fragen wurden zurückgehalten.
retrain-revealed = { $new } ist der neue; { $liked ->
    [new] er hat dir besser gefallen.
    [old] der alte hat dir besser gefallen.
   *[same] du hast keinen Unterschied gesehen.
} Gemessen vorher → jetzt:
retrain-better = **Training { $number }** ist fertig: Es hat gelernt und nicht mehr vergessen, als es darf. Gemessen vorher → jetzt:
retrain-no-start = Im Moment antwortet kein Adapter, und das Training geht von einem aus: wähle einen mit /adapters use.
retrain-withdrawn = Training { $number } wurde beendet: jemand hat zurückgenommen, dass ich damit trainiert werden darf.
retrain-decided = Das ist schon entschieden.
retrain-dropped = Ich antworte wie bisher. Training { $number } wird nicht benutzt.
retrain-cancelled = Training { $number } wurde abgebrochen.
retrain-failed = Training { $number } ist gescheitert: { $reason }
retrain-not-used = Training { $number } wird noch nicht benutzt: { $reason }
retrain-memory = Es brauchte mehr als { $limit } GB Speicher und wurde angehalten, damit ich weiter antworten kann. Mehr erlaubt der Betreiber mit RETRAIN_MEMORY_GB.
retrain-no-room = { $reason } Oder setz RETRAIN_HOURS: In diesen Stunden antworte ich, wenn es sein muss, nicht und lerne in dem Platz, der dadurch frei wird.
retrain-curve = Training { $number }: der Verlust beim Lernen (blau) und bei dem, was zurückgehalten wurde (orange). Niedriger ist besser.
measure-held-out = Verlust bei dem, was zurückgehalten wurde
measure-shapes = Fragen zu Formen
measure-drawings = richtig benannte Zeichnungen
measure-chat = Verlust im Gespräch ohne Bilder
adapters = **Adapter** (← antwortet jetzt):
adapters-none = Der Modellserver kennt keine Adapter.
adapter-used = Ab der nächsten Nachricht antworte ich mit { $name }. /adapters back nimmt das zurück.
adapter-used-elsewhere = Ab der nächsten Nachricht antworte ich mit { $name } überall, wo kein eigener Adapter gewählt ist. Hier antwortet weiter { $own }; mit /adapters here default beendest du das.
adapter-unknown = Einen Adapter { $name } gibt es nicht: es gibt { $names }.
adapter-no-way-back = Ich kenne keinen Adapter vor { $name }.
adapter-used-here = Ab der nächsten Nachricht antwortet hier { $name }. /adapters back nimmt das zurück.
adapter-used-everybodys = Ab der nächsten Nachricht antwortet hier der Adapter aller: { $name }.
adapter-tried = Ab der nächsten Nachricht antwortet { $name } in { $percent } % der Gespräche{ $where ->
    [here] {" "}hier
   *[everywhere] {""}
}. /adapters zeigt, wie er gefällt, /adapters back beendet das.
adapter-trial-ended = { $tried } wird nicht mehr ausprobiert; es antwortet { $name }.
adapter-try-how = Hinter den Namen gehört der Anteil der Gespräche, die ihn ausprobieren, von 1 bis { $most } %.
adapter-answers-already = { $name } antwortet schon.
adapters-origin = aus { $parent ->
    [none] dem bloßen Grundmodell
   *[other] { $parent }
}, { $date }
adapters-everywhere = überall
adapters-here = hier
adapters-counted = 👍 👎: { $where ->
    [here] hier gezählt
   *[everywhere] überall gezählt
}.
adapters-trial = **Auf Probe** seit { $since }: { $name } antwortet in { $percent } % der Gespräche{ $where ->
    [here] {" "}hier
   *[everywhere] , in denen kein eigener Adapter einer Gemeinschaft antwortet
}.
adapters-since = Seitdem:
compare-asking = Ich stelle { $first } und { $second } { $questions ->
    [one] dieselbe Frage
   *[other] dieselben { $questions } Fragen
}.
compare-head = { $first } und { $second }, dasselbe gefragt:
compare-wanted = gewünscht
compare-nothing = Hier gibt es keine Frage, die ich beiden stellen könnte: bring mir mit /teach eine mit ihrer Antwort bei und erlaube, dass ich damit trainiert werde.
compare-busy = Ich vergleiche schon zwei Adapter. Bitte warte, bis sie geantwortet haben.
retrain-thumbs = Wie { $name } gefällt: 👍 { $up } 👎 { $down }
forget-adapters = Diese Adapter haben aus etwas von dir gelernt und können es nicht verlernen: { $names }. Ein Admin kann aufhören, sie zu benutzen.
privacy = **Was ich aufbewahre**, auf dem Rechner der Person, die mich betreibt, und nirgends sonst: deinen Namen und deine ID auf dieser Plattform, die Nachrichten, die du mir schickst, mit ihren Bildern, Aufnahmen und Transkripten, meine Antworten, deine Bewertungen, besseren Antworten und Beispiele, deine Einstellungen.

    Nachrichten, die nicht an mich gerichtet sind, bewahre ich nicht auf. Bilder und Aufnahmen verlieren bei der Ankunft ihre Metadaten (Ort, Kamera). Mit dem, was du mir beibringst (bessere Antworten, Beispiele), werde ich nur trainiert, wenn du es sagst, und mit sonst nichts.

    /export schickt dir alles, /forget löscht es.
forget-sure = Das löscht alles, was ich über dich aufbewahre, hier und in jedem anderen Chat auf dieser Plattform: deine Nachrichten mit ihren Dateien und meine Antworten darauf, deine Bewertungen, deine Einstellungen. Es lässt sich nicht rückgängig machen. Möchtest du das?
forget-done = Erledigt. Ich habe { $turns ->
    [one] { $turns } Nachricht
   *[other] { $turns } Nachrichten
} mit meinen Antworten gelöscht, und auch alles andere über dich.
forget-not = Es wurde nichts gelöscht.
export-ready = Das ist alles, was ich über dich aufbewahre.
export-sent = Ich habe es so geschickt, dass nur du es sehen kannst.
export-private = Ich konnte dir nicht privat schreiben. Bitte schick mir /export in einem privaten Chat.

## Was abgelehnt wird

not-on-list = Ich rede hier nicht mit allen. Wer den Bot betreibt, kann dich auf die Liste setzen.
guests-in-groups-only = Dir antworte ich nur in Gruppen, nicht in privaten Chats.
too-fast = Das war viel in kurzer Zeit: Ich nehme { $limit ->
    [one] { $limit } Nachricht
   *[other] { $limit } Nachrichten
} pro Minute von dir an. Bitte warte einen Moment.
budget-spent = { $limit ->
    [one] Du hast deine { $limit } Nachricht
   *[other] Du hast deine { $limit } Nachrichten
} für heute aufgebraucht. Morgen bin ich wieder für dich da (Mitternacht UTC).
empty-message = Deine Nachricht ist leer. Schick mir Worte, ein Bild oder eine Sprachnachricht.
text-too-long = Deine Nachricht hat { NUMBER($length) } Zeichen; ich kann { NUMBER($limit) } auf einmal lesen.
too-many-files = Du hast { $count ->
    [one] { $count } Datei
   *[other] { $count } Dateien
} geschickt; ich kann { $limit } auf einmal annehmen.
restarting = Ich werde gerade neu gestartet. Bitte schick das in einer Minute noch einmal.
restarting-kept = Ich werde gerade neu gestartet und antworte, sobald ich wieder da bin.
queue-full = { $limit ->
    [one] Hier wartet schon { $limit } Nachricht. Bitte warte erst auf die Antwort.
   *[other] Hier warten schon { $limit } Nachrichten. Bitte warte erst auf ihre Antworten.
}
queue-full-all = Gerade fragen zu viele Leute. Bitte versuch es in einer Minute noch einmal.
still-answering = Diese Nachricht wird noch beantwortet.
not-here = Diese Nachricht gehört nicht zu dieser Unterhaltung.

## Was schiefging

cannot-store = Ich kann im Moment nichts speichern, deshalb antworte ich nicht. Wer den Bot betreibt, findet den Grund im Protokoll.
restarted-too-often = Ich wurde mehr als einmal neu gestartet, während ich das beantwortet habe. Bitte frag noch einmal, vielleicht mit anderen Worten.
internal = Bei mir ist etwas schiefgegangen. Wer den Bot betreibt, kann im Protokoll nach { $id } suchen.
took-too-long-minutes = Das hat länger als { $minutes ->
    [one] { $minutes } Minute
   *[other] { $minutes } Minuten
} gedauert, darum habe ich aufgegeben. Bitte versuch es noch einmal.
took-too-long-seconds = Das hat länger als { $seconds ->
    [one] { $seconds } Sekunde
   *[other] { $seconds } Sekunden
} gedauert, darum habe ich aufgegeben. Bitte versuch es noch einmal.
files-did-not-arrive = Deine Dateien sind hier nicht angekommen. Bitte schick sie noch einmal.
ask-without = Bitte schick es noch einmal oder frag ohne.
no-speech = In { $name } konnte ich niemanden sprechen hören.
cannot-listen = { $name }: Diese Aufnahme konnte ich nicht anhören.
crashed-twice = Es tut mir leid: Das Modell ist bei dieser Antwort zweimal abgestürzt. Bitte versuch es später noch einmal.
nothing-to-say = Dem Modell ist dazu nichts eingefallen. Bitte frag mit anderen Worten.
nothing-to-answer = In dieser Nachricht ist nichts, worauf ich antworten könnte.
file-too-large = { $name }: Die Datei hat { $size } MB; ich kann { $limit } MB annehmen.
file-not-fetched = { $name }: Die Datei ließ sich nicht abrufen. Bitte schick sie noch einmal.
message-too-long = Deine Nachricht ist zu lang für das Modell: etwa { NUMBER($tokens, useGrouping: 0) } Token, und es fasst { NUMBER($limit, useGrouping: 0) }. Bitte schick weniger auf einmal.
pictures-too-long = Deine Nachricht mit ihren Bildern ist zu lang für das Modell: etwa { NUMBER($tokens, useGrouping: 0) } Token, und es fasst { NUMBER($limit, useGrouping: 0) }. Bitte schick weniger auf einmal.
file-not-understood = { $name }: Das ist { $kind ->
    [pdf] ein PDF
    [zip] ein Archiv oder ein Office-Dokument
    [archive] ein Archiv
    [program] ein Programm
    [empty] eine leere Datei
    [svg] eine SVG-Zeichnung, die ich mir noch nicht ansehen kann (schick sie als PNG)
   *[unknown] eine Art von Datei, die ich nicht kenne
}; ich verstehe Bilder, Sprachnachrichten und Textdateien.
text-file-too-large = { $name }: Der Text hat { $size } KB; ich kann { $limit } KB annehmen.
picture-too-large = { $name }: Das Bild hat { $size } MB; ich kann { $limit } MB annehmen.
picture-damaged = { $name }: Das Bild ist beschädigt oder unvollständig.
too-many-pixels = { $name }: Das Bild hat zu viele Pixel; ich kann { $limit ->
    [one] { $limit } Million
   *[other] { $limit } Millionen
} annehmen.
too-many-pixels-counted = { $name }: Das Bild hat zu viele Pixel; ich kann { $limit ->
    [one] { $limit } Million
   *[other] { $limit } Millionen
} annehmen; es hat { NUMBER($width, useGrouping: 0) } × { NUMBER($height, useGrouping: 0) }.
recording-too-large = { $name }: Die Aufnahme hat { $size } MB; ich kann { $limit } MB annehmen.
recording-damaged = { $name }: Die Aufnahme ist beschädigt oder unvollständig.
recording-empty = { $name }: Die Aufnahme ist leer.
recording-too-long = { $name }: Die Aufnahme ist zu lang; ich kann { $limit ->
    [one] { $limit } Minute
   *[other] { $limit } Minuten
} anhören.
recording-too-long-minutes = { $name }: Die Aufnahme dauert { $minutes ->
    [one] { NUMBER($minutes, useGrouping: 0) } Minute
   *[other] { NUMBER($minutes, useGrouping: 0) } Minuten
}; ich kann { $limit ->
    [one] { $limit } Minute
   *[other] { $limit } Minuten
} anhören.
no-sound = { $name }: In dieser Datei ist kein Ton.
model-lost = Das Modell ist mitten in der Antwort stehen geblieben. Bitte versuch es noch einmal.
model-not-running = Das Modell läuft im Moment nicht. Bitte versuch es in ein paar Minuten noch einmal.
model-loading = Das Modell wird noch geladen. Bitte versuch es in ein paar Minuten noch einmal.
model-rests = Ich lerne gerade und antworte so lange nicht. Spätestens um { $time } bin ich wieder da; frag dann bitte noch einmal.
model-failed = Das Modell konnte nicht antworten. Bitte versuch es noch einmal.
model-failed-midway = Beim Modell ist mitten in der Antwort ein Fehler aufgetreten. Bitte versuch es noch einmal.
model-no-memory = Das Modell hat dafür gerade nicht genug Speicher. Bitte versuch es noch einmal oder fang mit /reset neu an: Ein kürzeres Gespräch passt vielleicht.
model-refuses-key = Der Modellserver weist den Schlüssel dieses Bots zurück (MODEL_API_KEY); wer den Bot betreibt, muss ihn richtig setzen.
model-cannot = Der Modellserver kann das nicht; wer den Bot betreibt, kann einen anderen wählen.
model-could-not-use = Das Modell konnte damit nichts anfangen: { $reason }
conversation-too-long = Das ist zu lang für das Modell. Bitte schick weniger auf einmal oder fang mit /reset neu an.
