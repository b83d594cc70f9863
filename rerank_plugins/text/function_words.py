"""Function words and letters of languages in Latin script: what tells one from another in a sentence or two.

Articles, pronouns, prepositions, conjunctions, question words and forms of "be", "have", "can" and the like make up a
third of running text in most of these languages, and do not depend on its subject. The lists were written for this
project. English is longer than the others: it also names what English shares with them ("die", "man", "son"), which
then says nothing about a text.
"""

from string import ascii_lowercase

_WORDS = {
    "en": """
        a about above across after again against all almost alone along already also although always am among an and
        another any anyone anything are around as ask at away back be became because become been before began behind
        being below best between big both but by call came can cannot case come could day days did die different do
        does doing don done down due during each early either else end enough even ever every example far few find
        first for found four from full fun gave general get give given go gone good got great had has hat have having
        he hem her here hers high him his how however i if important in include including inter into is it its just
        keep kind knew know known large last late later least led less let lie life like list long lot made main make
        man many may me mean means men met might mine more most much must my name need never new next no nor not note
        now of off often old on once one ones only open or order os other others our out over own pale part pas people
        per place plus point possible pour present put quite rather red right said same saw say see seem seen set
        several she should show side sin since small so some someone something son soon state still such sure take ten
        than that the their theirs them then there therefore these they thing things think this those though three
        through thus time to today together too toward tower tried true try turn two type under until up upon us use
        used uses using van very via want wants war was water way we week well went were what when where whether which
        while who whole whom whose why will with within without work works would year years yes yet you young your
        yours""",
    "de": """
        ab aber alle allem allen aller alles als also am an andere anderen andererseits auch auf aus außerhalb bei
        beiden beim bereits bis bist bitte bzw da dabei dadurch dafür daher damals damit dann daran darauf daraus darf
        darin darum darüber das dass davon dazu dein deine dem den denn dennoch der deren des deshalb dessen deutsch
        dich die dies diese diesem diesen dieser dieses dir doch dort du durch dürfen ein eine einem einen einer eines
        einige einigen einmal er es etwa etwas euch euer eventuell existiert folgende folgenden für gab ganz gegen
        gegenüber gehen geht genannt gestern gewann gibt hab habe haben hat hatte hatten heißt heute hier hieß hinter
        hätte ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in innerhalb ins ist je jede jedem jeden jeder
        jedes jedoch jemand jene jetzt kam kann kannst kein keine keinen keiner kommt können könnte könnten lange laut
        liegt ließ machen macht mal man mehr mein meine meinem meinen meiner mich mir mit mittels morgen muss musste
        müssen nach nachdem nannte neben nein nennt neue neuen neuer nicht nichts nie niemand noch nun nur ob oder
        ohne sagte sehr sein seine seinem seinen seiner seit selbst sich sicher sie sind so sogar solche soll sollen
        sollte somit sondern sowie sowohl statt steht trotz um und uns unser unsere unter viel viele vielen vielleicht
        vom von vor wann war waren warum was weder weil welche welchem welchen welcher welches wenn wer werde werden
        wessen wie wieder wird wo wodurch wofür woher wohin wollen worden wurde wurden während wäre würde würden zu
        zudem zum zur zwar zwei zwischen über""",
    "fr": """
        afin ai ainsi alors après as assez au aucun aucune aucuns aujourd auprès auquel aussi autour autre autres aux
        avaient avait avant avec avez avoir avons ayant beaucoup bien c car ce cela celle celles celui cependant
        certaines certains ces cet cette ceux chacun chacune chaque chez ci combien comme comment contre d dans de
        depuis dernier des deux doit doivent donc dont du durant désormais elle elles en encore ensuite entre est et
        eu eux fait faut fois font furent fut grand grande hier hors ici il ils j je jusqu jusque l la laquelle le
        lequel les lesquelles lesquels leur leurs lors lorsqu lorsque lui ma mais malgré me merci mes moi moins mon
        mot mots même mêmes n ne ni non nos notre nous nouveau nouvelle nul on ont ou où par parce parmi pas pendant
        peu peut peuvent plus plusieurs pour pourquoi pourrait presque puis puisque qu quand que quel quelle quelles
        quelque quelques quels qui quoi s sa sans se selon sera serait seront ses si son sont sous souvent suis sur ta
        tant te tes toi ton toujours tous tout toute toutes trop très tu un une vers veuillez voici voilà voir vos
        votre vous vraiment vôtre y ça étaient était étant été être""",
    "es": """
        a acerca además ahora al algo algunas alguno algunos alrededor ante antes aquel aquella aquellos aquí así
        aunque ayer año años aún cada casi como con contra cosa cual cualquier cuando cuya cuyo cuál cuáles cuándo
        cuánta cuántas cuánto cuántos cómo de debe deben debería del demasiado demás dentro desde donde dos durante
        dónde e el ella ellas ellos en entonces entre era eran eres es esa esas ese eso esos esta estaba estaban
        estado estar estas este esto estos estoy está están existe favor fue fuera fueron gran ha haber había habían
        hace hacer hacia han hasta hay haya he hemos hizo hoy la las le les lo los luego mayor me mediante mejor menor
        menos mi mientras mis misma mismo mucho muchos muy más mío nada ni ninguna ninguno ningún no nos nosotros
        nuestra nuestro nueva nuevo nunca o otra otras otro otros para parte pero poco podía por porque primera
        primero puede pueden pues que quien quienes quién quiénes qué se sea según ser sería si sido siempre siguiente
        siguientes sin sino sobre solo son soy su sus sí sólo también tan tanto te tenía tenían tiene tienen todas
        todo todos tras tu un una unas uno unos usted vez y ya yo él""",
    "it": """
        a abbia abbiamo ad adesso ai al alcune alcuni alla alle allo allora almeno altra altre altri altro anche
        ancora avere aveva avevano avrebbe c che chi ci ciascuno cioè circa ciò coi col come con contro cosa così cui
        d da dai dal dalla dalle dallo degli dei del dell della delle dello dentro deve devono di dopo dove dovrebbe
        due durante e ecco ed entrambi era erano esiste essere fa fare fatto fino fosse fra fu fuori furono già gli
        grande grandi ha hai hanno ho i ieri il in inoltre invece io l la le lei li lo loro lui lì ma mai me meno
        mentre mi mia miei mio molte molti molto ne negli nei nel nell nella nelle nello niente no noi non nostra
        nostro nulla nuova nuovo o oggi ogni oltre ora per perché però più poco poi possono potrebbe potrebbero presso
        prima proprio pure può qual qualche quale quali quando quanta quante quanti quanto quasi quel quella quelle
        quelli quello questa queste questi questo qui quindi sarà se secondo seguente seguenti sei sempre senza si sia
        siamo siano solo sono sopra sotto stata state stati stato stessa stesso su sua subito sue sugli sui sul sull
        sulla sulle sullo suo suoi tale tali tra tre troppo tu tua tuo tutta tutte tutti tutto un una uno vengono
        venne verrà verso vi viene voi volta volte vostro è""",
    "pt": """
        a abaixo acima agora ainda algo algum alguma algumas alguns além ano anos antes ao aos apenas após aquela
        aquele aqui as assim até bem cada com como contra da daquele das de dela dele deles dentro depois desde dessa
        desse desta deste deve devem deverá diz do dois dos durante e ela elas ele eles em embora enquanto entre então
        era eram essa essas esse esses esta estas estava estavam este esteja estejam estes está estão eu existe favor
        faz fazer foi fora foram hoje há isso isto já lhe lhes maior mais mas me mediante meio melhor menor menos
        mesmo meu meus minha minhas muito muitos na nada nas nem nenhum nessa nesse nesta neste no nos nossa nosso
        nova novo num numa nunca não nós o onde ontem os ou outra outras outro outros para pela pelas pelo pelos perto
        pode podem poderia pois por porque porquê porém pouco primeira primeiro próprio quais qual qualquer quando
        quanta quantas quanto quantos quase que quem quê se segundo seja sem sempre sendo ser seria será seu seus sido
        sim sob sobre sua suas são só tal também tanto tem tempo tenha teve tinha tinham tiveram toda todas todo todos
        três tudo tão têm um uma umas uns vai vez você vocês à às é""",
    "nl": """
        aan aangezien achter al alle alleen alles als altijd ander andere anders basis bent bestaat bij bijna
        bijvoorbeeld binnen daar daarna daarom dan dat de deze dezelfde die dit doen doet door drie dus echter een
        eens eerste elk elke en enige enkele er erg gaan gaat geen geldig geweest geworden gisteren had hadden heb
        hebben hebt heeft heel hem hen het hier hierbij hij hoe hoeveel hun ieder iemand iets ik in is ja jaar je jij
        jou jouw kan kon konden kunnen kunt laatste maar mag meer meeste men met mij mijn moest moet moeten na naar
        naast nadat niet niets nog nogmaals nooit nou nu of om omdat onder ongeveer ons onze ook op over per reeds
        sinds sommige soms te tegen ten terwijl tijdens toch toen tot tussen twee u uit uw vaak van vanaf vandaag
        vanuit veel vele verder volgende volgens voor vooral vraag waar waarin waarom wanneer want waren was wat we
        weer welk welke werd werden wie wiens wij wil willen wilt worden wordt zal ze zeer zei zeker zelf zich zij
        zijn zo zoals zodat zonder zou zouden zoveel zowel één""",
    "pl": """
        a aby albo ale ani aż bardzo bez bo by być był była było były będzie będą cały chce ci ciebie co coś czego czy
        czyli czym często dla dlaczego dlatego do dość dwa dwie dzięki dziś gdy gdyż gdzie go i ich ile im inne innych
        istnieje iż ja jak jaka jaki jakich jakie jakim jako je jeden jednak jednym jego jej jemu jest jestem jeszcze
        jeśli jeżeli już każdy kiedy kilka kim kogo kto ktoś która które którego której który których którym którzy
        którą lecz lub ma mają mam mamy masz między może można musi muszą my na nad nadal nam nas nasz nasza naszego
        naszej nawet nic nich nie niech niego nim nimi nią niż nowe nowy o oba obecnie obok od on ona one oni ono oraz
        po pod podczas pomimo ponieważ poprzez powinien powinna poza proszę przed przede przez przy raz również się
        sobie swoim swoje swojego swojej swój są ta tak taki takie także tam te tego tej ten teraz też to tu tutaj
        twoje twój tych tylko tym u w wasz wczoraj we według wiele więc wszystkich wszystkie wszystko wśród z za
        zawsze ze został została zostały że żeby""",
    "tr": """
        acaba ama ancak arasında arasındaki artık aslında aynı ayrıca az bana bazı başka belki ben beri bile bin bir
        biri birkaç birçok biz bize bizim bu bugün buna bunda bundan bunlar bunları bunun burada böyle böylece bütün
        da daha dahil de dek değil değildir diye diğer dolayı dün eden eder ederek edildi edilen etmek etti fakat
        fazla gibi girin göre hakkında hala hangi hangisi hatta hem henüz hep hepsi her herhangi hiç hiçbir idi iken
        iki ile ilgili ilk ise itibaren için içinde işte kadar karşı kaç kendi kendine kez ki kim kimdi kimdir kime
        kimin lütfen mi mu mü mı nasıl ne neden nedir nerede nereye neydi neyi niye niçin o olan olarak oldu olduğu
        olduğunda olduğunu olmak olmalı olmalıdır olması olsa olup olur ona ondan onlar onların onu onun orada oysa
        pek rağmen sadece sen siz sonra tarafından tüm var vardı vardır ve veya ya yalnızca yani yapılan yerine yine
        yok yoktur zaman çeşitli çok çünkü önce üzere üzerinde şeklinde şey şimdi şu""",
    "vi": """
        ai anh bao bằng bị bởi cho chúng chưa chỉ con các cái còn có cùng cũng cả cần của cứ do dưới giữa gì hai hay
        hôm hơn họ khi không là làm lên lúc lại mà mình mỗi một mới ngày người nhiều nhà như nhưng nhất những nào này
        nên nó năm nơi nếu phải qua ra rất rằng sau sẽ sự theo thành thì thế thể trong trên trước tôi tại tất từ việc
        và vào vì vẫn vậy về với đang đi điều đâu đây đã đó được đến đều để ấy ở""",
    "ro": """
        a acea aceasta această aceea aceia acelor acest aceste acestei acestor acestui acești acolo acum ai aici al
        ale am ar are asemenea asta asupra atunci atât au avea aveți avut așa ca cam care ce cea cei cel cele celor
        cine cu cui cum când cât câte câți că cărei cărora către da dacă dar datorită de deci decât deja despre deși
        din dintr dintre după ea ei el ele era erau este eu face fi fie fiecare fiind foarte fost fostul fără i iar la
        le lor lui mai mult multe mulți nici nimic niște noastră noi nostru nu o oamenii or ori pe pentru peste poate
        pot poți prima primul prin până sa sale sau se si spre sub sunt să său te toate tot toți trebuie un una unde
        unei unele unii unor unui va voastră voi vor îi îl în înainte încă însă într într-un între își și""",
    "sv": """
        alla allt att av bara blev bli blir både de dem den denna deras dess det detta dig din dock du där då efter
        eftersom ej eller en enligt er ett flera från få får för före första genom går gör göra ha hade han hans har
        hela henne hennes hon honom hur här i idag igen igår in ingen inget innan inte jag ju kan kommer kunde man med
        medan mellan men mer mest mig min mot mycket många måste ni nu när någon något några och också om oss på redan
        sedan sig sin sina sitt ska skall skulle som så sådan såsom till två under upp ut utan vad var vara varför
        varit varje vem vi vid vilka vilken vilket vill än är även åt över""",
    "da": """
        af alle allerede alt at benyttes blandt blev blive bliver bruge bruger både da dag de den denne der deres det
        dette dig dine disse dog du efter ej eller en end er et fik flere for fordi fra få får før først gennem gør
        ham han hans har havde have hele hende hendes her hos hun hvad hvem hver hvilke hvilken hvilket hvis hvor
        hvordan hvorfor hvornår i igen ikke imellem ind ingen intet jeg jo kan kunne man mange med meget
        mellem men mens mere mest mig min mod må måtte nogen noget nogle nu når og også om op os over på samt selv sig
        sin sine sit skal skulle som så sådan til to ud uden under var ved venligst vi vil ville være været år""",
    "no": """
        alle allerede alt at av bare begge ble bli blir blitt bruke bruker både da de dem den denne der deres det
        dette din dine disse du eller en enn er et etter fikk flere for fordi forskjellige fra få får før først
        gjennom gjør ha hadde ham han hans har hele henne hennes her hun hva hvem hver hvilke hvilken hvilket hvis
        hvor hvordan hvorfor i igjen ikke ingen inn ja jeg kan kunne man mange med meg meget mellom men mens mer mest
        min mot mye må måtte noe noen nå når og også om opp oss over på samme samt seg selv sin sine sitt skal skulle
        som så til to under ut uten var ved vennligst vi vil ville vårt være vært år""",
    "fi": """
        ei eikä eivät eli ennen että he heidän hän hänen ja jo joiden joissa joka jolla jonka jos jossa jota joten
        jotka kaikki kanssa kautta koko koska kuin kuinka kuitenkin kuka kun lisäksi me mikä mikäli millä minkä minä
        missä mitkä mitä molemmat monet muita mukaan mutta muun myöhemmin myös ne niiden niin niitä noin nyt ole oli
        olivat olla olleet ollut on ovat sai se sekä sen siellä siihen siinä sillä sitten sitä tai te toinen tuli tämä
        tämän tässä tätä vaan vai vaikka vain varten vielä voi voidaan voivat yli""",
    "cs": """
        a aby ale ani asi až bez bude budou by byl byla bylo byly být co což další do dva ho i jak jako jaká jaké je
        jeden jedna jeho jehož jejich její jen ještě jsem jsme jsou k každý kde kdo kdy kdyby když ke která které
        kterého který kteří lze mají mezi mnoho má mě může na nad ne nebo není než nich náš o od on ona oni po pod
        podle pokud pouze pro proti protože proč před přes při s se si svou své svůj ta tak také tam tato ten tento to
        toho tom tomu tuto ty této u už v ve více však všech všechny vždy z za ze či že""",
    "hu": """
        a ahol aki akik alatt amely amelyek amelyet ami amikor annak arra az azok azon azonban azt azután be csak de e
        ebben eddig egy egyes egyik elég először előtt ennek ez ezek ezt fel felé ha hanem hogy hogyan hol hány
        illetve ilyen is itt jól kell ki kik képest két kívül közben között közül le lehet lenni lesz lett majd meg
        mely melyik mert mi mikor milyen mindig mint mit miért most már más nagy ne neki nem nélkül olyan ott pedig s
        saját sem semmi sok szerint tehát tovább több utolsó után vagy vagyok van vannak volt voltak által általában
        én és így össze úgy ő ők""",
    "id": """
        ada adalah agar akan anda antara apa apakah atas atau bagaimana bagi bahwa banyak baru beberapa belum benar
        berupa bila bisa bukan dalam dan dapat dari dengan di dia dua hanya hari harus hingga ia ingin ini itu jadi
        jika juga kami kamu karena kata ke kepada ketika kita lagi lain lebih maka mana masih melalui melihat memiliki
        mengandung mengapa menjadi mereka merupakan milik mungkin nama namun oleh pada paling para perlu pernah saat
        saja sangat satu saya sebagai sebuah secara sedang sedikit sejak selama seluruh semua seperti sering serta
        setelah setiap siapa silakan sudah tahun tanpa telah tentang tentu terhadap terlalu tersebut tersedia tidak
        tiga untuk yaitu yang""",
    "ca": """
        a això als amb an aquell aquella aquest aquesta aquests aquí cada com contra d de del dels
        des dins dos durant el ell ella elles ells els em en encara entre era eren es estan està fins fou ha han hi ho
        i ja l la les li llavors lo mai malgrat mentre meu molt molts més na ni no nosaltres nou nova o on pel pels
        per perquè però poden pot primer qual quals quan quant que qui quin quina què s sempre sense ser seu seus seva
        si sobre sol sota sud són també tan tant tenen tot tota tots té un una uns va van vostè és""",
}  # fmt: skip

# Letters beyond a to z of a language's own words, names and loans aside.
_LETTERS = {
    "en": "",
    "de": "äöüß",
    "fr": "àâçèéêëîïôùûœ",
    "es": "áéíóúñ",
    "it": "àèìòù",
    "pt": "àáâãçéêíóôõú",
    "nl": "éëï",
    "pl": "ąćęłńóśźż",
    "tr": "çğıöşüâ",
    "vi": "àáâãèéêìíòóôõùúýăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    "ro": "ăâîșțşţ",
    "sv": "äåö",
    "da": "æåø",
    "no": "æåø",
    "fi": "äö",
    "cs": "áčďéěíňóřšťúůýž",
    "hu": "áéíóöúüőű",
    "id": "",
    "ca": "àçèéíïòóú",
}

# A letter that stands alone is a variable, a unit or an initial as often as a word.
FUNCTION_WORDS = {language: frozenset(words.split()).difference(ascii_lowercase) for language, words in _WORDS.items()}
LETTERS = {language: frozenset(letters) for language, letters in _LETTERS.items()}
