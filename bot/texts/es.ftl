## Mientras se prepara una respuesta

queued = ⏳ En cola: { $position ->
    [1] el siguiente turno es el tuyo.
   *[other] puesto { $position }.
}
thinking = ⏳ …
heard = 🎙 { $text }
stopped = (detenida)
truncated = (La respuesta alcanzó su longitud máxima y termina aquí.)

## Botones

button-stop = ■ Parar
button-again = ↻ Otra vez
button-good = 👍
button-bad = 👎
button-forget = Sí, olvídame
button-cancel = No
button-teaching-yes = Sí, aprende de ello
button-teaching-no = No
button-example-keep = ✓ Conservar
button-example-drop = ✗ Descartar
button-example-next = → Siguiente
button-retrain-cancel = ■ Cancelar
button-retrain-blind-a = A
button-retrain-blind-b = B
button-retrain-blind-same = Ninguna diferencia
button-retrain-here = Usarlo aquí
button-retrain-use = Usarlo en todas partes
button-retrain-try = Probarlo con el { $percent } %
button-retrain-drop = Quedarse con el viejo
button-retrain-again = ↻ Intentar de nuevo

## Lo que dice un botón pulsado

stopping = Ya paro.
already-ended = Esta respuesta ya terminó.
thanks = Gracias.
not-yours = Eso solo lo puede hacer quien preguntó o un admin.
not-your-button = Este botón no es para ti.
nothing-to-rate = Aquí no hay ninguna respuesta que valorar.
better-title = Una respuesta mejor
better-question = ¿Qué respuesta habría sido mejor?
better-reply = ¿Qué respuesta habría sido mejor? Escríbela respondiendo a este mensaje.
better-kept = Gracias, la guardo.
teaching-may-i = ¿Puede el dueño de este bot entrenarme con lo que me enseñas, con la pregunta y las imágenes de las que trata? Hasta que digas que sí, nadie lo hace. /privacy muestra lo que dijiste y lo cambia.
teaching-may-i-asker = { $name }, alguien me dio una respuesta mejor a esta pregunta tuya. ¿Puede el dueño de este bot entrenarme con ella y con lo que tú me enseñes? Hasta que digas que sí, nadie lo hace. /privacy muestra lo que dijiste y lo cambia.
teaching-unused = (No se usa para entrenar: no lo has permitido. /privacy lo cambia.)
teaching-allowed = Gracias. Lo que me enseñas, y las preguntas tuyas que otros corrijan, se puede usar para entrenarme. /privacy lo retira.
teaching-forbidden = Lo que me enseñas no se usa para entrenar. /privacy lo cambia.
admins-only = Solo los administradores pueden hacer eso.
owners-only = Solo los administradores de este bot (ADMINS en sus ajustes) pueden hacer eso.

## Comandos: lo que hacen, tal como los muestra la plataforma

command-ask = Pregúntame algo, con una imagen o una grabación si quieres
command-describe = Describir una imagen
command-transcribe = Poner por escrito lo que se dice en una grabación
command-reset = Olvidar lo que se ha dicho aquí hasta ahora
command-regenerate = Responder otra vez a la última pregunta
command-stop = Parar la respuesta que se está escribiendo
command-teach = Enséñame: pregunta y respuesta, con imagen si quieres; administradores: import y un archivo
command-examples = Para administradores: revisar lo que me han enseñado; compartirlo con otros chats
command-retrain = Para administradores: entrenarme con lo que me han enseñado aquí
command-adapters = Qué adaptadores tengo; para administradores: use, here o try NOMBRE, compare NOMBRE NOMBRE, o back
command-settings = Idioma, memoria y personalidad
command-privacy = Qué guardo y dónde
command-forget = Borrar todo lo que guardo sobre ti
command-export = Enviarte todo lo que guardo sobre ti
command-help = Qué sé hacer
command-status = Cómo estoy
option-question = Tu pregunta
option-answer = Lo que debo responder
option-example = Un número y una respuesta mejor para ese ejemplo; o share, o unshare
option-note = Una nota para el registro
option-adapter = use NOMBRE, here NOMBRE, try NOMBRE 10, compare NOMBRE NOMBRE, o back
option-file = Una imagen, una grabación o un archivo de texto
option-language = El idioma que uso en mensajes como este
option-memory = Cuántas preguntas anteriores recuerdo
option-persona = Quién soy en esta conversación
menu-ask = Preguntar sobre esto
menu-describe = Describir imagen
menu-transcribe = Transcribir

## Lo que responden los comandos

help = **Soy { $name }.** Escríbeme aquí; en los grupos, mencióname o respóndeme. Envía imágenes, notas de voz y archivos de texto, con tu pregunta o sin ella.

    Recuerdo esta conversación. Cada respuesta tiene botones para pararla, para preguntar otra vez y para valorarla.
help-line = /{ $command } – { $what }
reset-done = Ya no tengo presente lo que se ha dicho aquí hasta ahora. (Sigue guardado; /forget lo borra.)
nothing-running = Ahora mismo no estoy escribiendo nada.
nothing-to-repeat = Aquí aún no hay ninguna pregunta que pueda responder otra vez.
nothing-to-describe = No veo ninguna imagen. Envía una con el comando o responde a una con él.
nothing-to-transcribe = No veo ninguna grabación. Envía una con el comando o responde a una con él.
nothing-to-ask = Escribe tu pregunta después del comando, envía un archivo con él o responde a un mensaje con él.
status = El modelo: { $model }. En curso o en espera: { $turns }. Versión { $version }.
status-rests = En reposo, porque estoy aprendiendo; de vuelta a las { $time } como muy tarde
settings-now = Idioma: { $language }. Memoria: { $memory ->
    [one] { $memory } pregunta
   *[other] { $memory } preguntas
}. Personalidad: { $persona }.
settings-how = Puedes cambiarlos con { $usage }.
settings-choices = { $option }: { $choices }
settings-done = Hecho.
settings-unknown = No conozco { $option } «{ $value }». Puede ser: { $choices }
settings-admins = En un grupo, solo sus admins pueden cambiar la memoria y la personalidad.
taught = Lo guardo.
teach-how = Escribe la pregunta detrás del comando y la respuesta en las líneas de abajo; puede ir con una imagen tuya.
teach-pictures-only = { $name }: solo las imágenes pueden formar parte de un ejemplo.
import-how = Envía un solo archivo con /teach import: conversaciones en el formato de LLaVA como .json o .jsonl, o un .zip con ese archivo y sus imágenes.
import-done = **Importación:** { $taken } tomados, { $known } ya los tenía, { $bad } no se pudieron usar.
import-left = Quedan { $left } más: tomo { $limit } de una vez. Envía el mismo archivo otra vez para seguir con ellos.
import-record = Registro { NUMBER($number, useGrouping: 0) }: { $reason }
import-list = Todos los registros que no se pudieron usar, con el motivo.
import-list-private = No pude enviarte la lista completa en privado. Escríbeme una vez en un chat privado y vuelve a enviar el archivo aquí.
import-unknown = { $name }: puedo importar .json, .jsonl y .zip.
import-broken = { $name }: esto no es JSON válido (línea { $line }, columna { $column }).
import-not-json = { $name }: esto no es una lista de registros en JSON.
import-nothing = { $name }: no contiene ningún registro.
import-too-many = { $name }: tiene más de { NUMBER($limit) } registros. Envíalos por partes, por favor.
import-archive-damaged = { $name }: está dañado, tiene contraseña o está comprimido de una forma que no conozco.
import-archive-files = { $name }: el archivo comprimido debería tener un solo .json o .jsonl, y tiene { $count }.
import-archive-too-much = { $name }: es demasiado para un solo archivo; puedo descomprimir { NUMBER($members) } ficheros con { $limit } MB en total.
import-why-json = la línea no es JSON válido (columna { $column })
import-why-form = no es una conversación en el formato de LLaVA
import-why-question = no hay ninguna pregunta al principio
import-why-answer = la respuesta falta o está vacía
import-why-long = la pregunta o la respuesta tiene { NUMBER($length) } caracteres; puedo aprender { NUMBER($limit) }
import-why-marks = `<image>` aparece { $marks }×, y el registro nombra { $pictures }× una imagen
import-why-pictures = tiene { $count } imágenes; un ejemplo puede tener { $limit }
import-why-missing = no hay ninguna imagen { $name } en el archivo comprimido
import-why-outside = la imagen { $name } está fuera del archivo comprimido
teaching-is-allowed = Permites que me entrenen con lo que me enseñas.
teaching-is-forbidden = No me entrenan con nada tuyo: no lo has permitido.
examples-count = **Lo que me han enseñado aquí:** { $usable } para aprender ({ $new } sin revisar), { $waiting } de personas que aún no han dicho que sí.
examples-shared = Desde { $since } también aprenden de ellos mis otros servidores y chats: los compartió { $name }.
examples-of-others = Aquí /retrain aprende también de { $count } de otros servidores y chats que comparten los suyos.
examples-share-done = Desde ahora /retrain aprende también en mis otros servidores y chats de lo que me han enseñado aquí, si cada persona permite que me entrenen con ello. Allí no se muestra.
examples-share-how-ended = /examples unshare lo termina.
examples-share-ended = Lo que me han enseñado aquí vuelve a ser solo para aquí. Los adaptadores que aprendieron de ello entretanto lo conservan.
examples-share-not = Lo que me han enseñado aquí no se comparte.
example-reworded = El ejemplo { $number } tiene ahora esa respuesta y se conserva.
example-gone = Aquí no hay ningún ejemplo { $number } que se pueda usar.
example-from = **{ $number }**, de { $name }{ $pictures ->
    [0] {""}
    [one] , con una imagen
   *[other] , con { $pictures } imágenes
}:
retrain-nothing = Aquí no hay nada de lo que aprender: nadie me ha enseñado algo con lo que se me pueda entrenar. /examples lo cuenta.
retrain-too-few = Para aprender hay aquí { $examples ->
    [one] un ejemplo
   *[other] { $examples } ejemplos
}. Necesito al menos { $least }: faltan { $missing }; la misma pregunta sobre las mismas imágenes cuenta una vez.{ $without ->
    [0] {""}
    [one] {" "}Uno sin imagen no cuenta: sin imagen el modelo responde como venía, se le enseñe lo que se le enseñe.
   *[other] {" "}{ $without } sin imagen no cuentan: sin imagen el modelo responde como venía, se le enseñe lo que se le enseñe.
}
retrain-not-here = Aquí no se puede entrenar nada.
retrain-queued = **Entrenamiento { $number }**: { $examples } ejemplos. Hay otro en marcha; este es el siguiente. { $others ->
    [0] {""}
    [one] Uno de ellos lo comparte otro servidor o chat.
   *[other] { $others } de ellos los comparten otros servidores o chats.
}
retrain-preparing = **Entrenamiento { $number }**: { $examples } ejemplos. Los estoy preparando. { $others ->
    [0] {""}
    [one] Uno de ellos lo comparte otro servidor o chat.
   *[other] { $others } de ellos los comparten otros servidores o chats.
}
retrain-waiting = **Entrenamiento { $number }** espera sus horas: empiezan a las { $time }.
retrain-progress = **Entrenamiento { $number }** { $bar } { $percent } %, pérdida { $loss }{ $minutes ->
    [-1] {""}
   *[other] , quedan unos { $minutes } min
}
retrain-judging = **Entrenamiento { $number }**: entrenado. Lo comparo con el que está en uso.
retrain-not-offered = **Entrenamiento { $number }** ha terminado, y no lo ofrezco: lo marcado con ✗ empeoró más de lo permitido.
retrain-blind = **Entrenamiento { $number }** ha terminado: ha aprendido y no ha olvidado más de lo permitido. ¿Qué respuestas te gustan más? Un lado es el nuevo; las preguntas se habían apartado.
retrain-revealed = { $new } es el nuevo; { $liked ->
    [new] te gustó más.
    [old] te gustó más el viejo.
   *[same] no viste diferencia.
} Medido antes → ahora:
retrain-better = **Entrenamiento { $number }** ha terminado: ha aprendido y no ha olvidado más de lo permitido. Medido antes → ahora:
retrain-no-start = Ahora no responde ningún adaptador, y el entrenamiento parte de uno: elige uno con /adapters use.
retrain-withdrawn = El entrenamiento { $number } ha terminado: alguien retiró el permiso para entrenarme con lo que enseñó.
retrain-decided = Eso ya está decidido.
retrain-dropped = Respondo como antes. El entrenamiento { $number } no se usa.
retrain-cancelled = El entrenamiento { $number } se ha cancelado.
retrain-failed = El entrenamiento { $number } ha fallado: { $reason }
retrain-not-used = El entrenamiento { $number } todavía no se usa: { $reason }
retrain-memory = Necesitaba más de { $limit } GB de memoria y se detuvo para que yo pueda seguir respondiendo. El propietario puede permitir más (RETRAIN_MEMORY_GB).
retrain-no-room = { $reason } O define RETRAIN_HOURS: en esas horas dejo de responder si hace falta y aprendo en la memoria que así queda libre.
retrain-curve = Entrenamiento { $number }: la pérdida al entrenar (azul) y en lo que se reservó (naranja). Menos es mejor.
measure-held-out = pérdida en lo apartado
measure-shapes = preguntas sobre formas
measure-drawings = dibujos bien nombrados
measure-chat = pérdida en la charla sin imágenes
adapters = **Adaptadores** (← responde ahora):
adapters-none = El servidor del modelo no conoce adaptadores.
adapter-used = Desde el próximo mensaje respondo con { $name }. /adapters back lo deshace.
adapter-used-elsewhere = Desde el próximo mensaje respondo con { $name } donde no se haya elegido un adaptador propio. Aquí sigue respondiendo { $own }; /adapters here default lo termina.
adapter-unknown = No hay ningún adaptador { $name }: hay { $names }.
adapter-no-way-back = No conozco ningún adaptador anterior a { $name }.
adapter-used-here = Desde el próximo mensaje responde aquí { $name }. /adapters back lo deshace.
adapter-used-everybodys = Desde el próximo mensaje responde aquí el adaptador de todos: { $name }.
adapter-tried = Desde el próximo mensaje { $name } responde en el { $percent } % de las conversaciones{ $where ->
    [here] {" "}de aquí
   *[everywhere] {""}
}. /adapters muestra cuánto gusta, /adapters back lo termina.
adapter-trial-ended = { $tried } ya no está a prueba; responde { $name }.
adapter-try-how = Detrás del nombre va la parte de las conversaciones que lo prueban, del 1 al { $most } %.
adapter-answers-already = { $name } ya responde.
adapters-origin = a partir { $parent ->
    [none] del modelo base
   *[other] de { $parent }
}, { $date }
adapters-everywhere = en todas partes
adapters-here = aquí
adapters-counted = 👍 👎: { $where ->
    [here] contados aquí
   *[everywhere] contados en todas partes
}.
adapters-trial = **A prueba** desde { $since }: { $name } responde en el { $percent } % de las conversaciones { $where ->
    [here] de aquí
   *[everywhere] en las que no responde un adaptador propio de una comunidad
}.
adapters-since = Desde entonces:
compare-asking = Les hago a { $first } y a { $second } { $questions ->
    [one] la misma pregunta
   *[other] las mismas { $questions } preguntas
}.
compare-head = { $first } y { $second }, con las mismas preguntas:
compare-wanted = deseado
compare-nothing = Aquí no hay ninguna pregunta que pueda hacerles a los dos: enséñame una con su respuesta (/teach) y permite que me entrenen con ella.
compare-busy = Ya estoy comparando dos adaptadores. Espera a que hayan respondido.
retrain-thumbs = Qué opina la gente de { $name }: 👍 { $up } 👎 { $down }
forget-adapters = Estos adaptadores aprendieron de algo tuyo y no pueden olvidarlo: { $names }. Un administrador puede dejar de usarlos.
privacy = **Lo que guardo**, en el equipo de la persona que me mantiene y en ningún otro sitio: tu nombre y tu identificador en esta plataforma, los mensajes que me envías con sus imágenes, grabaciones y transcripciones, mis respuestas, tus valoraciones, respuestas mejores y ejemplos, tus ajustes.

    No guardo los mensajes que no son para mí. Las imágenes y grabaciones pierden sus metadatos (lugar, cámara) al llegar. Solo me entrenan con lo que me enseñas (respuestas mejores, ejemplos) si tú lo dices, y con nada más.

    /export te lo envía todo, /forget lo borra.
forget-sure = Esto borra todo lo que guardo sobre ti, aquí y en todos los demás chats de esta plataforma: tus mensajes con sus archivos y mis respuestas a ellos, tus valoraciones, tus ajustes. No se puede deshacer. ¿Quieres hacerlo?
forget-done = Hecho. Borré { $turns ->
    [one] { $turns } mensaje
   *[other] { $turns } mensajes
} con mis respuestas, y todo lo demás sobre ti.
forget-not = No se borró nada.
export-ready = Esto es todo lo que guardo sobre ti.
export-sent = Te lo envié donde solo tú puedes verlo.
export-private = No pude escribirte en privado. Envíame /export en un chat privado, por favor.

## Lo que se rechaza

not-on-list = Aquí no hablo con todo el mundo. Quien gestiona el bot puede ponerte en la lista.
guests-in-groups-only = A ti te respondo solo en grupos, no en chats privados.
too-fast = Eso fue mucho en poco tiempo: acepto { $limit ->
    [one] { $limit } mensaje tuyo
   *[other] { $limit } mensajes tuyos
} por minuto. Espera un momento, por favor.
budget-spent = { $limit ->
    [one] Ya usaste tu { $limit } mensaje de hoy.
   *[other] Ya usaste tus { $limit } mensajes de hoy.
} Mañana vuelvo a estar aquí para ti (medianoche UTC).
empty-message = Tu mensaje está vacío. Envíame palabras, una imagen o una nota de voz.
text-too-long = Tu mensaje tiene { NUMBER($length) } caracteres; puedo leer { NUMBER($limit) } de una vez.
too-many-files = Enviaste { $count ->
    [one] { $count } archivo
   *[other] { $count } archivos
}; puedo aceptar { $limit } de una vez.
restarting = Me están reiniciando. Vuelve a enviarlo en un minuto, por favor.
restarting-kept = Me están reiniciando; responderé en cuanto vuelva.
queue-full = { $limit ->
    [one] Aquí ya hay { $limit } mensaje en espera. Espera primero su respuesta, por favor.
   *[other] Aquí ya hay { $limit } mensajes en espera. Espera primero sus respuestas, por favor.
}
queue-full-all = Ahora mismo pregunta demasiada gente. Vuelve a intentarlo en un minuto, por favor.
still-answering = Todavía estoy respondiendo a este mensaje.
not-here = Este mensaje no es parte de esta conversación.

## Lo que salió mal

cannot-store = Ahora mismo no puedo guardar nada, así que no respondo. Quien gestiona el bot encontrará el motivo en el registro.
restarted-too-often = Me reiniciaron más de una vez mientras respondía a esto. Pregunta de nuevo, por favor, quizá con otras palabras.
internal = Algo falló por mi parte. Quien gestiona el bot puede buscar { $id } en el registro.
took-too-long-minutes = Esto tardó más de { $minutes ->
    [one] { $minutes } minuto
   *[other] { $minutes } minutos
}, así que lo dejé. Vuelve a intentarlo, por favor.
took-too-long-seconds = Esto tardó más de { $seconds ->
    [one] { $seconds } segundo
   *[other] { $seconds } segundos
}, así que lo dejé. Vuelve a intentarlo, por favor.
files-did-not-arrive = Tus archivos no llegaron. Vuelve a enviarlos, por favor.
ask-without = Vuelve a enviarlo, por favor, o pregunta sin ello.
no-speech = No oí hablar a nadie en { $name }.
cannot-listen = { $name }: no pude escuchar esta grabación.
crashed-twice = Lo siento: el modelo falló dos veces mientras respondía a esto. Vuelve a intentarlo más tarde, por favor.
nothing-to-say = El modelo no tuvo nada que decir a esto. Pregunta con otras palabras, por favor.
nothing-to-answer = En este mensaje no hay nada a lo que pueda responder.
file-too-large = { $name }: el archivo tiene { $size } MB; puedo aceptar { $limit } MB.
file-not-fetched = { $name }: no se pudo descargar el archivo. Vuelve a enviarlo, por favor.
message-too-long = Tu mensaje es demasiado largo para el modelo: unos { NUMBER($tokens, useGrouping: 0) } tokens, y admite { NUMBER($limit, useGrouping: 0) }. Envía menos de una vez, por favor.
pictures-too-long = Tu mensaje con sus imágenes es demasiado largo para el modelo: unos { NUMBER($tokens, useGrouping: 0) } tokens, y admite { NUMBER($limit, useGrouping: 0) }. Envía menos de una vez, por favor.
file-not-understood = { $name }: esto es { $kind ->
    [pdf] un PDF
    [zip] un archivo comprimido o un documento de ofimática
    [archive] un archivo comprimido
    [program] un programa
    [empty] un archivo vacío
    [svg] un dibujo SVG, que todavía no puedo ver (envíalo como PNG)
   *[unknown] un tipo de archivo que no conozco
}; entiendo imágenes, notas de voz y archivos de texto.
text-file-too-large = { $name }: el texto tiene { $size } KB; puedo aceptar { $limit } KB.
picture-too-large = { $name }: la imagen tiene { $size } MB; puedo aceptar { $limit } MB.
picture-damaged = { $name }: la imagen está dañada o incompleta.
too-many-pixels = { $name }: la imagen tiene demasiados píxeles; puedo aceptar { $limit ->
    [one] { $limit } millón
   *[other] { $limit } millones
}.
too-many-pixels-counted = { $name }: la imagen tiene demasiados píxeles; puedo aceptar { $limit ->
    [one] { $limit } millón
   *[other] { $limit } millones
}; tiene { NUMBER($width, useGrouping: 0) } × { NUMBER($height, useGrouping: 0) }.
recording-too-large = { $name }: la grabación tiene { $size } MB; puedo aceptar { $limit } MB.
recording-damaged = { $name }: la grabación está dañada o incompleta.
recording-empty = { $name }: la grabación está vacía.
recording-too-long = { $name }: la grabación es demasiado larga; puedo escuchar { $limit ->
    [one] { $limit } minuto
   *[other] { $limit } minutos
}.
recording-too-long-minutes = { $name }: la grabación dura { $minutes ->
    [one] { NUMBER($minutes, useGrouping: 0) } minuto
   *[other] { NUMBER($minutes, useGrouping: 0) } minutos
}; puedo escuchar { $limit ->
    [one] { $limit } minuto
   *[other] { $limit } minutos
}.
no-sound = { $name }: no hay sonido en este archivo.
model-lost = El modelo se detuvo a mitad de la respuesta. Vuelve a intentarlo, por favor.
model-not-running = El modelo no está en marcha en este momento. Vuelve a intentarlo en unos minutos, por favor.
model-loading = El modelo todavía se está cargando. Vuelve a intentarlo en unos minutos, por favor.
model-rests = Ahora mismo estoy aprendiendo y mientras tanto no respondo. Vuelvo a las { $time } como muy tarde; pregúntame entonces otra vez, por favor.
model-failed = El modelo no consiguió responder. Vuelve a intentarlo, por favor.
model-failed-midway = El modelo falló a mitad de la respuesta. Vuelve a intentarlo, por favor.
model-no-memory = El modelo no tiene memoria para esto en este momento. Vuelve a intentarlo o empieza de nuevo con /reset: una conversación más corta puede caber.
model-refuses-key = El servidor del modelo rechaza la clave de este bot (MODEL_API_KEY); quien lo gestiona tiene que corregirla.
model-cannot = El servidor del modelo no puede hacer esto; quien gestiona el bot puede elegir otro.
model-could-not-use = El modelo no pudo usar esto: { $reason }
conversation-too-long = Esto es demasiado largo para el modelo. Envía menos de una vez, por favor, o empieza de nuevo con /reset.
