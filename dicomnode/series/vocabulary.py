"""What the words of a series description say of contrast, in the languages and spellings of the field.

One table, read from the top: a word that was understood is struck out before the next row is tried, so "late
arterial" is never "late", "without contrast" never "contrast", and "CTAC" never "CTA". The words are those
seen in public archives, and their equivalents in the neighbouring languages.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum

from inference.phases import Phase


class Says(Enum):
    """What one expression says."""

    NOTHING = "nothing"
    """A false friend: it looks like another row's word."""
    UNENHANCED = "unenhanced"
    ARTERIAL = "arterial"
    PORTAL_VENOUS = "portal venous"
    DELAYED = "delayed"
    CONTRAST = "contrast"
    """Given, at a time that is not said."""
    BETWEEN = "between phases"
    """A moment between two of the four phases, such as the nephrographic one."""
    SEVERAL = "several"
    """With and without, or several phases: the series itself may be any of them."""
    MAYBE_CONTRAST = "probably contrast"
    MAYBE_ARTERIAL = "probably arterial"
    MAYBE_UNENHANCED = "probably unenhanced"
    """A weak word, which counts only where no strong one stands."""
    DERIVED = "computed"
    """Contrast was given but is taken away by computation, or nothing else is shown: the picture may be any of them."""
    ORAL = "oral"
    """Contrast to drink, which says nothing of a phase."""
    DELAY = "delay"
    """Delayed, unless a time of less than three minutes stands beside it: then the delay before the scan."""


_NOT_AGENT = "biopsy|bx|op|operativ[eo]?|surg\\w*|treatment|tx|therapy|chemo|rfa|ablation|stent|nephrectomy|drain\\w*|"
_NOT_AGENT += (
    "aspiration|scout|topo\\w*|monitoring|prep|void|mortem|processing|trauma|radiation|rt|lobectomy|transplant"
)
_MEDIUM = "contrast\\w*|kontr\\w*|con|cont|contr|iv|ivc|inj\\w*|km|cm|mdc|pdc|mc|ce|ci|civ|c|infusion|jodu?"
_THIRD = "tri|bi|multi|poly|mehr|drei|zwei|quad\\w*|[234]|two|three|four|dual|double|triple|dwu|troj|trzy"

TABLE: tuple[tuple[Says, str], ...] = (
    # Attenuation correction, kernels, bolus watching, and other words that only look like one of those below.
    (Says.NOTHING, r"ctac\w*|ac ct|ct ac|attenuation|atten"),
    (Says.NOTHING, r"(pre|post|pseudo)? (monitoring|smart prep)|smart prep|test (bolus|injection)|bolus"),
    (Says.NOTHING, rf"(pre|post) (rt )?({_NOT_AGENT})"),
    (Says.NOTHING, r"(pulmonary|pulm|carotid|renal|coronary)? (artery|arteries)|pulm\w* veins?|pv (isol\w*|abl\w*)"),
    (Says.NOTHING, r"artefact\w*|artifact\w*|art (supp\w*|reduc\w*)|portable|port (cath\w*|placement)"),
    (Says.NOTHING, r"(leg|legs|extremity|cerebral|cranial|brain|head|dural|sinus|deep) (ct )?venous"),
    (Says.NOTHING, r"venous (sinus|thromb\w*)"),
    (Says.NOTHING, r"no entry|non angio\w*|virtual colon\w*|edge enhanc\w*|enhanced (lung|bone|edge)"),
    (Says.NOTHING, r"del (abdomen|torax|higado|cuello|paciente)"),
    (Says.DERIVED, r"vnc|vue|virtual(ly)? (non|un) (contrast|con|enhanced)|virt nc|virtuell nativ|iodine|jod"),
    (Says.DERIVED, r"z eff|effective z"),
    # With and without; several phases at once.
    (Says.SEVERAL, r"w [+&/]* w /? o|wo [+&/]* w|w/? /? wo|w w o|w (and|a|&|or) w/? o|w/? o (and|a|&|or) w"),
    (Says.SEVERAL, r"wo (and|a) w"),
    (Says.SEVERAL, r"with (and|&|\+) delay\w*|with (and|&|\+|/|or) without|without (and|&|\+|/|or) with"),
    (Says.SEVERAL, r"avec et sans|sans et avec|mit und ohne|ohne und mit|nativ (u|und|\+) (mit )?km"),
    (Says.SEVERAL, r"con [ye] (sin|senza)"),
    (Says.SEVERAL, r"(sin|senza) [ye] con|com e sem|sem e com|met en zonder|zonder en met|pre (and|&|/|\+) post"),
    (Says.SEVERAL, rf"({_THIRD}) (phas\w*|pas[ie]\w*|fas\w*|faz\w*)|wash in|dynami[ck]\w*|dynamique"),
    # Without.
    (Says.UNENHANCED, r"unenhanc\w*|unenh\w*|non? (enhanc\w*|enh|contrast\w*|con|cont|contr|ce|iv)|noncon\w*"),
    (Says.UNENHANCED, r"nc|nce|ncct|ncc|tnc"),
    (Says.UNENHANCED, rf"(w /? o|without|wo|no|minus|zero) ({_MEDIUM})( ({_MEDIUM}))?"),
    (Says.UNENHANCED, rf"(sans|sin|sem|senza|ohne|zonder|uten|utan|uden|bez|fara) ({_MEDIUM}|iniezione|inyecc\w*|i v)"),
    (Says.UNENHANCED, r"sans|s/ c|s/ contraste|ohne|senza|blanco|blanko|kontrastsiz|ilacsiz|bezkontrast\w*"),
    (Says.UNENHANCED, r"przed( kontr\w*| iv)?"),
    (Says.UNENHANCED, r"nativ\w*|natif|(fase|phase|tc) (basale?|simple)|basale|plain|native phase|simples"),
    (Says.UNENHANCED, r"c-|-c|i-|iv-|w/o|wo|without|withouts"),
    (Says.UNENHANCED, rf"pre ({_MEDIUM})|precontrast|precon|pre"),
    # The moments; the longer expression first.
    (Says.ARTERIAL, r"late art(erial|eriell\w*)?|delayed arterial|spat art\w*|arteri\w+ tardi\w+|laat art\w*"),
    (Says.ARTERIAL, r"hepatic art\w*|(early|fruh|precoce|vroeg) art\w*|cortico med\w*|kortiko med\w*"),
    (Says.ARTERIAL, r"pancreatic (phase|phas)"),
    (Says.PORTAL_VENOUS, r"porto? (al)? (ven\w*|vein\w*)|porotal ven\w*|p ven(ous)?|hepatic ven\w*|pvp|pvph"),
    (Says.BETWEEN, r"(late|delayed) (portal|ven\w*)|(portal|ven\w*) (delay\w*|late)|nephro\w*|neph|nefro\w*"),
    (Says.BETWEEN, r"parench\w*|paranch\w*"),
    (Says.ARTERIAL, r"arterial\w*|arteri?ell?\w*|arterieel|arterieux|arteriyel|arteryel|arter|art|tetnicz\w*"),
    (Says.ARTERIAL, r"tetnic|hap|aortic"),
    (Says.PORTAL_VENOUS, r"portal\w*|porto\w*|porotal|pv|venous\w*|venos[aeo]|venos\w*|veneu[sz]e?"),
    (Says.PORTAL_VENOUS, r"veineu[xs]e?|venoz|ven|zyln\w*|vp"),
    (Says.PORTAL_VENOUS, r"port (phase|abd\w*|liver|foie)|(ap|art|liver|foie|abd|tap) port"),
    (Says.DELAYED, r"excret\w*|exkret\w*|excretor[ai]|escret\w*|ausscheid\w*|uitscheid\w*"),
    (Says.DELAYED, r"urogra\w* (phase|phas|faza)|pyelo\w*"),
    (Says.DELAYED, r"equilib\w*|equlib\w*|aequilib\w*|gleichgewicht\w*|wash out|eliminacion|eliminazione"),
    (Says.DELAYED, r"late (phase|faz\w*|scan)|late"),
    (Says.DELAYED, r"tardi\w*|tard|retard\w*|spat(e|er|es)?( phase| aufnahme\w*| venos)?|verzoger\w*|opozn\w*"),
    (Says.DELAYED, r"pozn[aey]?|opoz|laat|late fase"),
    (Says.DELAYED, r"gec( faz)?|sen faza"),
    (Says.DELAY, r"delay\w*|deelay\w*|delyed|dely|dly|del|fdelay|secdelay"),
    # Given, at some time.
    (Says.ORAL, r"(with|w/?|avec) oral( contrast| only)?|omni\w* oral|oral (and|&|/|\+)? rect\w*|per os"),
    (Says.ORAL, r"oral( only| contrast)?|gastro\w*|readi? cat|redi cat"),
    (Says.ORAL, r"barium|ez cat|volumen|water( sol)?|peritrast|telebrix gastro|mannitol"),
    (Says.CONTRAST, rf"(with|w/?|avec|con|com|mit|met|z|ze|po|post|after|nach|apres|med|plus) ({_MEDIUM})"),
    (Says.CONTRAST, r"c\+|\+c|i\+|iv\+|\+iv|wc|w/c|w iv|iv only|iv|kontr\w*|contrast\w*|contr|enhanc\w*|km"),
    (Says.CONTRAST, r"kontrastli|ilacli|\+ (cm|km|iv)"),
    (Says.CONTRAST, r"post|con|avec|(with|w/)(?=[\s/]*($|\d))|po kontr\w*"),
    (Says.CONTRAST, r"omni\w*( \d+)?|isov\w*( \d+)?|ultravi\w*|optira\w*|opti \d+|visipaq\w*|niopam|iopam\w*"),
    (Says.CONTRAST, r"iohex\w*|iomer\w*|xenetix"),
    (Says.CONTRAST, r"imeron|accupaque|oxilan|iopromid\w*|iodixanol|conray|non ionic|ccomni|ccopti|ioversol"),
    (Says.CONTRAST, r"optiject|iobitridol"),
    (Says.MAYBE_ARTERIAL, r"cta|ctangio\w*|angio\w*|ctpa|(r/o|rule out) pe|pe (protocol|study|chest|cta)"),
    (Says.MAYBE_ARTERIAL, r"embol\w*|run off"),
    (
        Says.MAYBE_CONTRAST,
        r"ce|capillary|w(?=[\s/]*($|\d))|early|precoce|fruh|venogra\w*|arteriogra\w*|ivp|enterograph\w*",
    ),
    (Says.MAYBE_UNENHANCED, r"kub|stones?|ca(lcium)? scor\w*|smart score|renal colic"),
)
"""(what it says, regular expression over `plainly`): a space stands for any separators or none, and no letter or
digit stands before or behind the expression."""

_PHASES = {
    Says.UNENHANCED: Phase.UNENHANCED,
    Says.ARTERIAL: Phase.ARTERIAL,
    Says.PORTAL_VENOUS: Phase.PORTAL_VENOUS,
    Says.DELAYED: Phase.DELAYED,
}


def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9])(?:{expression.replace(' ', '[ ./-]*')})(?![a-z0-9])")


_COMPILED = tuple((says, _compiled(expression)) for says, expression in TABLE)
_SECONDS = re.compile(
    r"(?<![a-z0-9./])((?:\d{2,3} *[,&/-] *)*\d{2,3})[ -]*(?:s|secs?|sec\w*|seconds?|sek\w*|sn)(?![a-z0-9])"
)
_MINUTES = re.compile(
    r"(?<![a-z0-9.])((?:\d{1,2} *[,&/-] *)*\d{1,2})[ -]*(?:mins?|minut\w*|mtos|mn|dk|m(?=[ -]*del))(?![a-z0-9])"
)
_LETTERS = str.maketrans({"ł": "l", "Ł": "L", "ı": "i", "ß": "ss", "ø": "o", "æ": "ae"})


@dataclass(frozen=True)
class Reading:
    """What one text says."""

    phase: Phase | None
    """The one phase it names; None: none, or several."""
    contrast: bool | None
    """Whether contrast was given; None: it does not say."""
    seconds: tuple[float, ...] = ()
    """Times after the injection that it names."""
    words: tuple[str, ...] = ()
    """The expressions that were understood: words of the table, never free text."""


def understand(text: str) -> Reading:
    """What a description says of contrast. Any text is allowed; most say nothing."""
    plain = plainly(text)
    seconds, plain, clock = _times(plain)
    said: set[Says] = set()
    words = list(clock)
    for says, pattern in _COMPILED:
        for match in pattern.finditer(plain):
            said.add(says)
            if says is not Says.NOTHING:
                words.append(match.group().strip())
        plain = pattern.sub(lambda match: "|" * len(match.group()), plain)
    return _weigh(said, seconds, tuple(dict.fromkeys(words)))


def plainly(text: str) -> str:
    """Small letters without accents, words apart: "MiednicaPOZNE_5.0" -> "miednica pozne 5.0"."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text[:256].translate(_LETTERS).replace("_", " "))
    decomposed = unicodedata.normalize("NFKD", apart)
    letters = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
    letters = re.sub(r"[^a-z0-9+/&.,\-]", " ", letters)
    return re.sub(r"(?<!\d)\.|\.(?!\d)", " ", letters)


def _times(plain: str) -> tuple[tuple[float, ...], str, list[str]]:
    """(seconds after injection, the text without them, the expressions)."""
    found: list[float] = []
    words: list[str] = []
    for pattern, unit, least, most in ((_SECONDS, 1.0, 15.0, 900.0), (_MINUTES, 60.0, 60.0, 2700.0)):
        for match in pattern.finditer(plain):
            values = [unit * float(value) for value in re.findall(r"\d+", match.group(1))]
            if all(least <= value <= most for value in values):
                found += values
                words.append(match.group().strip())
                plain = plain[: match.start()] + "|" * len(match.group()) + plain[match.end() :]
    return tuple(found), plain, words


def phase_at(seconds: float) -> Phase | None:
    """The phase of a moment after the start of the injection, of the body's upper half; None between two phases."""
    if seconds < 0:
        return Phase.UNENHANCED
    for phase, first, last in PHASE_SECONDS:
        if first <= seconds <= last:
            return phase
    return None


PHASE_SECONDS = (
    (Phase.ARTERIAL, 15.0, 45.0),
    (Phase.PORTAL_VENOUS, 55.0, 110.0),
    (Phase.DELAYED, 170.0, 3600.0),
)


def _weigh(said: set[Says], seconds: tuple[float, ...], words: tuple[str, ...]) -> Reading:
    """Strong words before weak ones; what contradicts itself names nothing."""
    if Says.DERIVED in said:
        return Reading(None, None, seconds, words)
    phases = _named(said, seconds)
    enhanced = phases - {Phase.UNENHANCED}
    given = bool(enhanced or seconds or said & {Says.BETWEEN, Says.CONTRAST})
    if Phase.UNENHANCED in phases and given:
        return Reading(None, None, seconds, words)
    between = Says.BETWEEN in said or None in map(phase_at, seconds)
    if len(phases) == 1 and not between:
        return Reading(next(iter(phases)), bool(enhanced), seconds, words)
    if Says.SEVERAL in said and not (enhanced or seconds or between):
        return Reading(None, None, seconds, words)
    return _weakly(said, given, bool(phases) or between, seconds, words)


def _named(said: set[Says], seconds: tuple[float, ...]) -> set[Phase]:
    """The phases that words and times name. A delay of a minute is the time before the scan, no delayed phase."""
    phases = {_PHASES[says] for says in said if says in _PHASES}
    if Says.DELAY in said and not seconds:
        phases.add(Phase.DELAYED)
    return phases | {phase for phase in map(phase_at, seconds) if phase is not None}


def _weakly(said: set[Says], given: bool, unclear: bool, seconds: tuple[float, ...], words: tuple[str, ...]) -> Reading:
    if Says.MAYBE_ARTERIAL in said and not unclear:
        return Reading(Phase.ARTERIAL, True, seconds, words)
    if given or Says.MAYBE_CONTRAST in said:
        return Reading(None, True, seconds, words)
    if Says.MAYBE_UNENHANCED in said and Says.ORAL not in said:
        return Reading(Phase.UNENHANCED, False, seconds, words)
    return Reading(None, None, seconds, words)
