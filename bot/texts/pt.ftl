## Enquanto uma resposta é preparada

queued = ⏳ Na fila: { $position ->
    [1] a próxima vez é a sua.
   *[other] posição { $position }.
}
thinking = ⏳ …
heard = 🎙 { $text }
stopped = (interrompida)
truncated = (A resposta chegou ao tamanho máximo e termina aqui.)

## Botões

button-stop = ■ Parar
button-again = ↻ De novo
button-good = 👍
button-bad = 👎
button-forget = Sim, me esqueça
button-cancel = Não
button-teaching-yes = Sim, aprenda com isso
button-teaching-no = Não
button-example-keep = ✓ Manter
button-example-drop = ✗ Descartar
button-example-next = → Próximo
button-retrain-cancel = ■ Cancelar
button-retrain-blind-a = A
button-retrain-blind-b = B
button-retrain-blind-same = Nenhuma diferença
button-retrain-here = Usar aqui
button-retrain-use = Usar em todo lugar
button-retrain-try = Testar com { $percent } %
button-retrain-drop = Manter o antigo
button-retrain-again = ↻ Tentar de novo

## O que diz um botão clicado

stopping = Parando.
already-ended = Esta resposta já terminou.
thanks = Obrigado.
not-yours = Só quem perguntou, ou um admin, pode fazer isso.
not-your-button = Este botão não é para você.
nothing-to-rate = Aqui não há resposta que possa ser avaliada.
better-title = Uma resposta melhor
better-question = Qual teria sido uma resposta melhor?
better-reply = Qual teria sido uma resposta melhor? Escreva-a em resposta a esta mensagem.
better-kept = Obrigado, vou guardar isso.
teaching-may-i = O dono deste bot pode me treinar com o que você me ensina, com a pergunta e as imagens de que se trata? Até você dizer que sim, ninguém faz isso. /privacy mostra o que você disse e muda isso.
teaching-may-i-asker = { $name }, alguém me deu uma resposta melhor para esta sua pergunta. O dono deste bot pode me treinar com ela e com o que você mesmo me ensinar? Até você dizer sim, ninguém faz isso. /privacy mostra o que você disse e muda isso.
teaching-unused = (Não é usado para treino: você não permitiu. /privacy muda isso.)
teaching-allowed = Obrigado. O que você me ensina, e as suas perguntas que outros corrigem, pode ser usado para me treinar. /privacy retira isso.
teaching-forbidden = O que você me ensina não é usado para treino. /privacy muda isso.
admins-only = Só administradores podem fazer isso.
owners-only = Só os administradores deste bot (ADMINS nas configurações) podem fazer isso.

## Comandos: o que fazem, como a plataforma os lista

command-ask = Me pergunte algo, com uma imagem ou uma gravação se quiser
command-describe = Descrever uma imagem
command-transcribe = Pôr por escrito o que é dito em uma gravação
command-reset = Esquecer o que foi dito aqui até agora
command-regenerate = Responder de novo à última pergunta
command-stop = Parar a resposta que está sendo escrita
command-teach = Ensine-me: pergunta e resposta, com imagem se quiser; administradores: import e um arquivo
command-examples = Para administradores: rever o que me ensinaram; compartilhar com outros chats
command-retrain = Para administradores: treinar-me com o que me ensinaram aqui
command-adapters = Quais adaptadores tenho; para administradores: use, here ou try NOME, compare NOME NOME, ou back
command-settings = Idioma, memória e persona
command-privacy = O que eu guardo e onde
command-forget = Apagar tudo o que guardo sobre você
command-export = Enviar a você tudo o que guardo sobre você
command-help = O que eu sei fazer
command-status = Como eu estou
option-question = Sua pergunta
option-answer = O que devo responder
option-example = Um número e uma resposta melhor para esse exemplo; ou share, ou unshare
option-note = Uma nota para o registro
option-adapter = use NOME, here NOME, try NOME 10, compare NOME NOME, ou back
option-file = Uma imagem, uma gravação ou um arquivo de texto
option-language = O idioma que uso em mensagens como esta
option-memory = De quantas perguntas anteriores eu me lembro
option-persona = Quem eu sou nesta conversa
menu-ask = Perguntar sobre isto
menu-describe = Descrever imagem
menu-transcribe = Transcrever

## O que os comandos respondem

help = **Eu sou { $name }.** Escreva para mim aqui; em grupos, me mencione ou responda a uma mensagem minha. Envie imagens, mensagens de voz e arquivos de texto, com ou sem pergunta.

    Eu me lembro desta conversa. Cada resposta tem botões para pará-la, para perguntar de novo e para avaliá-la.
help-line = /{ $command } – { $what }
reset-done = O que foi dito aqui até agora saiu da minha cabeça. (Continua guardado; /forget apaga.)
nothing-running = Não estou escrevendo nada no momento.
nothing-to-repeat = Ainda não há aqui nenhuma pergunta que eu possa responder de novo.
nothing-to-describe = Não vejo nenhuma imagem. Envie uma com o comando ou responda a uma com ele.
nothing-to-transcribe = Não vejo nenhuma gravação. Envie uma com o comando ou responda a uma com ele.
nothing-to-ask = Escreva sua pergunta depois do comando, envie um arquivo com ele ou responda a uma mensagem com ele.
status = O modelo: { $model }. Em andamento ou na espera: { $turns }. Versão { $version }.
status-rests = Em repouso, porque estou aprendendo; de volta às { $time } no mais tardar
settings-now = Idioma: { $language }. Memória: { $memory ->
    [one] { $memory } pergunta
   *[other] { $memory } perguntas
}. Persona: { $persona }.
settings-how = Para mudar, use { $usage }.
settings-choices = { $option }: { $choices }
settings-done = Pronto.
settings-unknown = Não conheço { $option } “{ $value }”. Pode ser: { $choices }
settings-admins = Em um grupo, só os admins podem mudar a memória e a persona.
taught = Eu guardo isso.
teach-how = Escreva a pergunta depois do comando e a resposta nas linhas abaixo; uma imagem sua pode vir junto.
teach-pictures-only = { $name }: só imagens podem fazer parte de um exemplo.
import-how = Envie um único arquivo com /teach import: conversas no formato do LLaVA como .json ou .jsonl, ou um .zip com esse arquivo e suas imagens.
import-done = **Importação:** { $taken } aceitos, { $known } eu já tinha, { $bad } não puderam ser usados.
import-left = Ainda restam { $left }: aceito { $limit } de uma vez. Envie o mesmo arquivo de novo para continuar.
import-record = Registro { NUMBER($number, useGrouping: 0) }: { $reason }
import-list = Todos os registros que não puderam ser usados, com o motivo.
import-list-private = Não consegui enviar a lista inteira em particular. Escreva para mim uma vez numa conversa privada e envie o arquivo aqui de novo.
import-unknown = { $name }: posso importar .json, .jsonl e .zip.
import-broken = { $name }: isto não é JSON válido (linha { $line }, coluna { $column }).
import-not-json = { $name }: isto não é uma lista de registros em JSON.
import-nothing = { $name }: não há registros nele.
import-too-many = { $name }: tem mais de { NUMBER($limit) } registros. Envie-os em partes, por favor.
import-archive-damaged = { $name }: está danificado, tem senha ou está compactado de um modo que não conheço.
import-archive-files = { $name }: o arquivo compactado deveria ter um único .json ou .jsonl, e tem { $count }.
import-archive-too-much = { $name }: é demais para um arquivo só; consigo descompactar { NUMBER($members) } arquivos com { $limit } MB no total.
import-why-json = a linha não é JSON válido (coluna { $column })
import-why-form = não é uma conversa no formato do LLaVA
import-why-question = não há uma pergunta no começo
import-why-answer = a resposta falta ou está vazia
import-why-long = a pergunta ou a resposta tem { NUMBER($length) } caracteres; consigo aprender { NUMBER($limit) }
import-why-marks = `<image>` aparece { $marks }×, e o registro nomeia { $pictures }× uma imagem
import-why-pictures = tem { $count } imagens; um exemplo pode ter { $limit }
import-why-missing = não há imagem { $name } no arquivo compactado
import-why-outside = a imagem { $name } está fora do arquivo compactado
teaching-is-allowed = Você permite que me treinem com o que me ensina.
teaching-is-forbidden = Não me treinam com nada seu: você não permitiu.
examples-count = **O que me ensinaram aqui:** { $usable } para aprender ({ $new } ainda não vistos), { $waiting } de pessoas que ainda não disseram sim.
examples-shared = Desde { $since } meus outros servidores e chats também aprendem com eles: { $name } os compartilhou.
examples-of-others = Aqui /retrain também aprende com { $count } de outros servidores e chats que compartilham os seus.
examples-share-done = A partir de agora /retrain também aprende nos meus outros servidores e chats com o que me ensinaram aqui, se cada pessoa permite que me treinem com isso. Lá isso não é mostrado.
examples-share-how-ended = /examples unshare encerra isso.
examples-share-ended = O que me ensinaram aqui volta a ser só para aqui. Os adaptadores que aprenderam com isso nesse meio-tempo ficam com o que aprenderam.
examples-share-not = O que me ensinaram aqui não é compartilhado.
example-reworded = O exemplo { $number } tem agora essa resposta e fica mantido.
example-gone = Não há aqui um exemplo { $number } que possa ser usado.
example-from = **{ $number }**, de { $name }{ $pictures ->
    [0] {""}
    [one] , com uma imagem
   *[other] , com { $pictures } imagens
}:
retrain-nothing = Não há nada para aprender aqui: ninguém me ensinou algo com que eu possa ser treinado. /examples conta isso.
retrain-too-few = Para aprender há aqui { $examples ->
    [one] um exemplo
   *[other] { $examples } exemplos
}. Preciso de pelo menos { $least }: faltam { $missing }; a mesma pergunta sobre as mesmas imagens conta uma vez.{ $without ->
    [0] {""}
    [one] {" "}Um sem imagem não conta: sem imagem o modelo responde como veio, o que quer que se ensine.
   *[other] {" "}{ $without } sem imagem não contam: sem imagem o modelo responde como veio, o que quer que se ensine.
}
retrain-not-here = Nada pode ser treinado aqui.
retrain-queued = **Treino { $number }**: { $examples } exemplos. Outro está em andamento; este é o próximo. { $others ->
    [0] {""}
    [one] Um deles é compartilhado por outro servidor ou chat.
   *[other] { $others } deles são compartilhados por outros servidores ou chats.
}
retrain-preparing = **Treino { $number }**: { $examples } exemplos. Estou preparando-os. { $others ->
    [0] {""}
    [one] Um deles é compartilhado por outro servidor ou chat.
   *[other] { $others } deles são compartilhados por outros servidores ou chats.
}
retrain-waiting = **Treino { $number }** espera suas horas: elas começam às { $time }.
retrain-progress = **Treino { $number }** { $bar } { $percent } %, perda { $loss }{ $minutes ->
    [-1] {""}
   *[other] , faltam cerca de { $minutes } min
}
retrain-judging = **Treino { $number }**: treinado. Estou comparando com o que está em uso.
retrain-not-offered = **Treino { $number }** terminou, e eu não o ofereço: o que está marcado com ✗ piorou mais do que pode.
retrain-blind = **Treino { $number }** terminou: aprendeu e não esqueceu mais do que pode. De quais respostas você gosta mais? Um lado é o novo; as perguntas foram separadas antes.
retrain-revealed = { $new } é o novo; { $liked ->
    [new] você gostou mais dele.
    [old] você gostou mais do antigo.
   *[same] você não viu diferença.
} Medido antes → agora:
retrain-better = **Treino { $number }** terminou: aprendeu e não esqueceu mais do que pode. Medido antes → agora:
retrain-no-start = Nenhum adaptador responde agora, e o treino parte de um: escolha um com /adapters use.
retrain-withdrawn = O treino { $number } foi encerrado: alguém retirou a permissão de me treinar com o que ensinou.
retrain-decided = Isso já foi decidido.
retrain-dropped = Respondo como antes. O treino { $number } não é usado.
retrain-cancelled = O treino { $number } foi cancelado.
retrain-failed = O treino { $number } falhou: { $reason }
retrain-not-used = O treino { $number } ainda não é usado: { $reason }
retrain-memory = Precisou de mais de { $limit } GB de memória e foi parado para que eu possa continuar respondendo. O dono pode permitir mais (RETRAIN_MEMORY_GB).
retrain-no-room = { $reason } Ou defina RETRAIN_HOURS: nessas horas paro de responder se for preciso e aprendo na memória que assim fica livre.
retrain-curve = Treino { $number }: a perda no treino (azul) e no que foi reservado (laranja). Menos é melhor.
measure-held-out = perda no que foi separado
measure-shapes = perguntas sobre formas
measure-drawings = desenhos nomeados certo
measure-chat = perda na conversa sem imagens
adapters = **Adaptadores** (← responde agora):
adapters-none = O servidor do modelo não conhece adaptadores.
adapter-used = A partir da próxima mensagem respondo com { $name }. /adapters back desfaz isso.
adapter-used-elsewhere = A partir da próxima mensagem respondo com { $name } onde não foi escolhido um adaptador próprio. Aqui { $own } continua respondendo; /adapters here default encerra isso.
adapter-unknown = Não há adaptador { $name }: há { $names }.
adapter-no-way-back = Não conheço nenhum adaptador anterior a { $name }.
adapter-used-here = A partir da próxima mensagem { $name } responde aqui. /adapters back desfaz isso.
adapter-used-everybodys = A partir da próxima mensagem responde aqui o adaptador de todos: { $name }.
adapter-tried = A partir da próxima mensagem { $name } responde em { $percent } % das conversas{ $where ->
    [here] {" "}daqui
   *[everywhere] {""}
}. /adapters mostra o quanto agrada, /adapters back encerra o teste.
adapter-trial-ended = { $tried } não está mais em teste; { $name } responde.
adapter-try-how = Depois do nome vem a parte das conversas que o testam, de 1 a { $most } %.
adapter-answers-already = { $name } já responde.
adapters-origin = a partir { $parent ->
    [none] do modelo base
   *[other] de { $parent }
}, { $date }
adapters-everywhere = em todo lugar
adapters-here = aqui
adapters-counted = 👍 👎: { $where ->
    [here] contados aqui
   *[everywhere] contados em todo lugar
}.
adapters-trial = **Em teste** desde { $since }: { $name } responde em { $percent } % das conversas { $where ->
    [here] daqui
   *[everywhere] em que não responde um adaptador próprio de uma comunidade
}.
adapters-since = Desde então:
compare-asking = Estou fazendo a { $first } e a { $second } { $questions ->
    [one] a mesma pergunta
   *[other] as mesmas { $questions } perguntas
}.
compare-head = { $first } e { $second }, com as mesmas perguntas:
compare-wanted = desejado
compare-nothing = Não há aqui uma pergunta que eu possa fazer aos dois: ensine-me uma com a resposta (/teach) e permita que me treinem com ela.
compare-busy = Já estou comparando dois adaptadores. Espere até que tenham respondido.
retrain-thumbs = O que as pessoas acham de { $name }: 👍 { $up } 👎 { $down }
forget-adapters = Estes adaptadores aprenderam com algo seu e não podem desaprender: { $names }. Um administrador pode deixar de usá-los.
privacy = **O que eu guardo**, no computador da pessoa que me mantém e em nenhum outro lugar: seu nome e seu ID nesta plataforma, as mensagens que você me envia com suas imagens, gravações e transcrições, minhas respostas, suas avaliações, respostas melhores e exemplos, suas configurações.

    Não guardo mensagens que não são para mim. Imagens e gravações perdem os metadados (lugar, câmera) quando chegam. Só me treinam com o que você me ensina (respostas melhores, exemplos) se você disser que sim, e com nada além disso.

    /export envia tudo a você, /forget apaga.
forget-sure = Isto apaga tudo o que guardo sobre você, aqui e em todas as outras conversas nesta plataforma: suas mensagens com os arquivos e minhas respostas a elas, suas avaliações, suas configurações. Não dá para desfazer. Você quer isso?
forget-done = Pronto. Apaguei { $turns ->
    [one] { $turns } mensagem
   *[other] { $turns } mensagens
} com minhas respostas, e todo o resto sobre você.
forget-not = Nada foi apagado.
export-ready = Isto é tudo o que guardo sobre você.
export-sent = Enviei para um lugar onde só você pode ver.
export-private = Não consegui escrever para você em particular. Por favor, me envie /export em uma conversa privada.

## O que é recusado

not-on-list = Eu não falo com todo mundo aqui. Quem cuida do bot pode colocar você na lista.
guests-in-groups-only = Eu respondo a você só em grupos, não em conversas privadas.
too-fast = Foi muita coisa em pouco tempo: aceito { $limit ->
    [one] { $limit } mensagem sua
   *[other] { $limit } mensagens suas
} por minuto. Espere um momento, por favor.
budget-spent = { $limit ->
    [one] Você já usou sua { $limit } mensagem de hoje.
   *[other] Você já usou suas { $limit } mensagens de hoje.
} Amanhã estou aqui de novo para você (meia-noite UTC).
empty-message = Sua mensagem está vazia. Me envie palavras, uma imagem ou uma mensagem de voz.
text-too-long = Sua mensagem tem { NUMBER($length) } caracteres; consigo ler { NUMBER($limit) } de uma vez.
too-many-files = Você enviou { $count ->
    [one] { $count } arquivo
   *[other] { $count } arquivos
}; aceito { $limit } de uma vez.
restarting = Estou sendo reiniciado. Por favor, envie isso de novo em um minuto.
restarting-kept = Estou sendo reiniciado e vou responder quando voltar.
queue-full = { $limit ->
    [one] Já há { $limit } mensagem esperando aqui. Por favor, espere primeiro a resposta dela.
   *[other] Já há { $limit } mensagens esperando aqui. Por favor, espere primeiro as respostas delas.
}
queue-full-all = Há gente demais perguntando no momento. Por favor, tente de novo em um minuto.
still-answering = Esta mensagem ainda está sendo respondida.
not-here = Esta mensagem não faz parte desta conversa.

## O que deu errado

cannot-store = Não consigo guardar nada no momento, por isso não respondo. Quem cuida do bot encontra o motivo no log.
restarted-too-often = Fui reiniciado mais de uma vez enquanto respondia a isto. Por favor, pergunte de novo, talvez com outras palavras.
internal = Algo deu errado do meu lado. Quem cuida do bot pode procurar { $id } no log.
took-too-long-minutes = Isto demorou mais de { $minutes ->
    [one] { $minutes } minuto
   *[other] { $minutes } minutos
}, então desisti. Por favor, tente de novo.
took-too-long-seconds = Isto demorou mais de { $seconds ->
    [one] { $seconds } segundo
   *[other] { $seconds } segundos
}, então desisti. Por favor, tente de novo.
files-did-not-arrive = Seus arquivos não chegaram aqui. Por favor, envie-os de novo.
ask-without = Por favor, envie de novo ou pergunte sem isso.
no-speech = Não ouvi ninguém falando em { $name }.
cannot-listen = { $name }: não consegui ouvir esta gravação.
crashed-twice = Sinto muito: o modelo caiu duas vezes enquanto respondia a isto. Por favor, tente de novo mais tarde.
nothing-to-say = O modelo não teve nada a dizer sobre isto. Por favor, pergunte com outras palavras.
nothing-to-answer = Não há nada nesta mensagem que eu possa responder.
file-too-large = { $name }: o arquivo tem { $size } MB; aceito { $limit } MB.
file-not-fetched = { $name }: não foi possível baixar o arquivo. Por favor, envie-o de novo.
message-too-long = Sua mensagem é longa demais para o modelo: cerca de { NUMBER($tokens, useGrouping: 0) } tokens, e ele aceita { NUMBER($limit, useGrouping: 0) }. Por favor, envie menos de uma vez.
pictures-too-long = Sua mensagem com as imagens é longa demais para o modelo: cerca de { NUMBER($tokens, useGrouping: 0) } tokens, e ele aceita { NUMBER($limit, useGrouping: 0) }. Por favor, envie menos de uma vez.
file-not-understood = { $name }: isto é { $kind ->
    [pdf] um PDF
    [zip] um arquivo compactado ou um documento do Office
    [archive] um arquivo compactado
    [program] um programa
    [empty] um arquivo vazio
    [svg] um desenho SVG, que ainda não consigo ver (envie como PNG)
   *[unknown] um tipo de arquivo que não conheço
}; eu entendo imagens, mensagens de voz e arquivos de texto.
text-file-too-large = { $name }: o texto tem { $size } KB; aceito { $limit } KB.
picture-too-large = { $name }: a imagem tem { $size } MB; aceito { $limit } MB.
picture-damaged = { $name }: a imagem está danificada ou incompleta.
too-many-pixels = { $name }: a imagem tem pixels demais; aceito { $limit ->
    [one] { $limit } milhão
   *[other] { $limit } milhões
}.
too-many-pixels-counted = { $name }: a imagem tem pixels demais; aceito { $limit ->
    [one] { $limit } milhão
   *[other] { $limit } milhões
}; ela tem { NUMBER($width, useGrouping: 0) } × { NUMBER($height, useGrouping: 0) }.
recording-too-large = { $name }: a gravação tem { $size } MB; aceito { $limit } MB.
recording-damaged = { $name }: a gravação está danificada ou incompleta.
recording-empty = { $name }: a gravação está vazia.
recording-too-long = { $name }: a gravação é longa demais; consigo ouvir { $limit ->
    [one] { $limit } minuto
   *[other] { $limit } minutos
}.
recording-too-long-minutes = { $name }: a gravação dura { $minutes ->
    [one] { NUMBER($minutes, useGrouping: 0) } minuto
   *[other] { NUMBER($minutes, useGrouping: 0) } minutos
}; consigo ouvir { $limit ->
    [one] { $limit } minuto
   *[other] { $limit } minutos
}.
no-sound = { $name }: não há som neste arquivo.
model-lost = O modelo parou no meio da resposta. Por favor, tente de novo.
model-not-running = O modelo não está rodando no momento. Por favor, tente de novo em alguns minutos.
model-loading = O modelo ainda está sendo carregado. Por favor, tente de novo em alguns minutos.
model-rests = Estou aprendendo neste momento e enquanto isso não respondo. Volto às { $time } no mais tardar; pergunte de novo então, por favor.
model-failed = O modelo não conseguiu responder. Por favor, tente de novo.
model-failed-midway = O modelo falhou no meio da resposta. Por favor, tente de novo.
model-no-memory = O modelo não tem memória para isto no momento. Tente de novo ou recomece com /reset: uma conversa mais curta pode caber.
model-refuses-key = O servidor do modelo recusa a chave deste bot (MODEL_API_KEY); quem cuida do bot precisa corrigi-la.
model-cannot = O servidor do modelo não consegue fazer isto; quem cuida do bot pode escolher outro.
model-could-not-use = O modelo não conseguiu usar isto: { $reason }
conversation-too-long = Isto é longo demais para o modelo. Por favor, envie menos de uma vez ou comece de novo com /reset.
