/*
 * Function words of the languages that have a stemmer and whose texts are most common: articles, pronouns,
 * prepositions, auxiliaries. Short on purpose: a word left out of a list only weighs what its frequency gives it.
 */
#include <string.h>

#include "index/words.h"

static const struct {
    const char *code, *same; /* `same`: another language with the same words */
    const char *words;       /* folded, a blank before and after each */
} lists[] = {
    {"de", "de",
     " aber alle als also am an auch auf aus bei bin bis bist da damit dann das dass daß dem den denn der des die "
     "dies diese diesem diesen dieser dieses doch dort du durch ein eine einem einen einer eines er es etwas euch für "
     "gegen habe haben hat hatte hatten ich ihm ihn ihr ihre im in ist ja jede jedem jeden jeder jedes kann kein "
     "keine können man mehr mein meine mich mir mit muss müssen nach nicht noch nun nur ob oder ohne sehr sein seine "
     "sich sie sind so soll sollen über um und uns unter vom von vor war waren warum was welche welchem welchen "
     "welcher welches wenn wer werden wie wird wir wo wurde wurden zu zum zur zwischen "},
    {"fr", "fr",
     " a ai au aux avec ce ces cet cette comme comment dans de des du elle elles en est et eu il ils je la le les "
     "leur leurs lui ma mais me mes moi mon ne nos notre nous on ont ou où par pas pour pourquoi qu quand que quel "
     "quelle quelles quels qui sa sans se ses si son sont sous sur ta te tes toi ton tu un une vos votre vous y "
     "été être était étaient "},
    {"es", "es",
     " a al algo ante antes como con cual cuales cuál cuáles cuando cuándo cómo de del desde donde dónde dos el él "
     "ella ellas ellos en entre era eran es esa esas ese eso esos esta está estas este esto estos están fue fueron "
     "ha hay han hasta la las le les lo los más me mi mis muy no nos o para pero por porque qué que quien quién se "
     "sea ser si sí sin sobre son su sus también te tiene tienen tu un una unas uno unos y ya yo "},
    {"it", "it",
     " a ad agli ai al alla alle allo anche c che chi ci come con cosa cui da dagli dai dal dalla dalle dello dei "
     "degli del della delle di dove e è ed era erano gli ha hanno i il in io l la le lei li lo loro lui ma mi mio "
     "ne negli nei nel nella nelle nello noi non o per perché più quale quali quando quanto quella quelle quelli "
     "quello questa queste questi questo se sei si sia sono su sua sue sugli sui sul sulla sulle suo suoi ti tra tu "
     "un una uno vi voi "},
    {"pt", "pt",
     " a à ao aos as às até com como da das de dela dele deles depois do dos e é ela elas ele eles em entre era "
     "essa esse esta está estas este estes eu foi foram há isso isto já lhe mais mas me meu minha muito na nas não "
     "nem no nos nós num numa o onde os ou para pela pelas pelo pelos por porque qual quais quando que quem se sem "
     "ser seu seus só são sua suas também te tem tinha um uma você "},
    {"nl", "nl",
     " aan al alles als altijd andere ben bij daar dan dat de der deze die dit doch doen door dus een en er ge geen "
     "had heb hebben heeft hem het hier hij hoe hun ik in is ja je kan kon kunnen maar me meer men met mij mijn moet "
     "na naar niet niets nog nu of om omdat onder ons ook op over te tegen toch toen tot u uit uw van veel voor "
     "waar waarom want waren was wat welke werd wezen wie wij wil worden wordt zal ze zich zij zijn zo zonder zou "},
    {"sv", "sv",
     " alla att av blev bli blir de dem den denna deras dess det detta dig din du där därför då efter ej eller en "
     "er ett från för ha hade han hans har henne hennes hon hur här i icke inte jag ju kan kunde man med mellan men "
     "mig min mot mycket ni nu när någon något några och om oss på samma sedan sig sin sina sitt skulle som så till "
     "under upp ut utan vad var vara varför vi vid vilka vilken vilket vår är över "},
    {"da", "da",
     " af alle at blev blive bliver da de dem den denne der deres det dette dig din du efter eller en end er et for "
     "fra ham han hans har havde have hende hendes her hun hvad hvem hvor hvordan hvorfor hvis i ikke jeg kan man "
     "med meget men mig min mod når ned nogle noget nu og også om op os over på sin sit skal skulle som så til "
     "ud under var vi vil ville være været "},
    {"no", "nb",
     " alle at av ble bli blir da de dem den denne der deres det dette du eller en enn er et etter for fra før ha "
     "hadde ham han hans har henne hennes her hun hva hvem hvilken hvor hvordan hvorfor hvis i ikke jeg kan man med "
     "meg men mot må når noe noen nå og også om opp oss over på seg sin sitt skal skulle som så til under ut uten "
     "var ved vi vil ville være vært å "},
    {"fi", "fi",
     " ei eivät emme en ennen et että ette hän häneen hänen häntä he heidän heitä hyvin ja jo joka jos jossa jotka "
     "kanssa kenen ketkä koska kuin kuinka kuka kun me mikä miksi missä mitkä mitä minä mukaan mutta myös ne niin "
     "niitä nyt olemme olen olet oli olivat olla on ovat se sekä sen siinä sinä sitä tai tämä te tuo vaan vai vain "},
    {"ru", "ru",
     " а без более больше бы был была были было быть в вам вас весь во вот все всего всех вы где да для до его ее "
     "её если есть еще ещё же за и из или им их к как какая какие какой когда кто ли либо мне может мы на над не "
     "него нее нет ни них но о об он она они оно от по под после потом почему при с сам со так такой там тем то "
     "того тоже той только том тот ты у уже что чтобы чье чья эта эти это этого этом этот я "},
};

bool words_stop_in(unsigned lang, struct str folded)
{
    if (lang == WORDS_LANG_ENGLISH) {
        return words_stop(folded);
    }
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (words_lang(str_of(lists[i].code)) != lang && words_lang(str_of(lists[i].same)) != lang) {
            continue;
        }
        const char *at = lists[i].words, *end = at + strlen(at);
        while (folded.len > 0 && (at = memmem(at, (size_t)(end - at), folded.ptr, folded.len)) != NULL) {
            if (at[-1] == ' ' && at[folded.len] == ' ') {
                return true;
            }
            at++;
        }
        return false;
    }
    return false;
}
