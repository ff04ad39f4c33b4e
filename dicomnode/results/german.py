"""The reasons, notes and hints of this package and of inference in German: what a report or a picture may quote."""

from collections.abc import Mapping

from inference import german
from inference.german import KINDS
from inference.sentences import Kind, Phrasebook, verbatim

_NOUNS: Mapping[str, tuple[str, str]] = {
    "slice": ("Schicht", "Schichten"),
    "instance": ("Instanz", "Instanzen"),
    "gap": ("Lücke", "Lücken"),
}
"""English noun -> (one, several)."""

_SIDES = {"contrast": "Kontrastmittel", "no contrast": "kein Kontrastmittel"}
"""What header or image may be said to show, besides a phase."""


def _count(text: str) -> str:
    """A number of things: "3 slices"."""
    found, noun = text.split(" ")
    one, several = _NOUNS[noun.removesuffix("s")]
    return f"{found} {one if found == '1' else several}"


def _modality(text: str) -> str:
    """A modality's code, or the words for none."""
    return "unbekannte Modalität" if text == "unknown modality" else text


def _side(text: str) -> str:
    return _SIDES[text] if text in _SIDES else german.phase(text)


_WORDS = {"name": Kind(r".+?", verbatim), "number": KINDS["number"]}

FAULTS = Phrasebook(
    {
        "no SOP Instance UID": "ohne SOP Instance UID",
        "this is not a DICOM file": "keine DICOM-Datei",
        "the file does not name its transfer syntax": "Datei ohne Angabe der Transfersyntax",
        "the {what:name} is not a UID": "{what} ist keine UID",
        "header that cannot be read ({error:name})": "nicht lesbare Kopfdaten ({error})",
        "sequences nested too deeply": "zu tief verschachtelte Sequenzen",
        "not a CT image (unknown SOP class)": "kein CT-Bild (unbekannte SOP-Klasse)",
        "not a CT image ({kind:name})": "kein CT-Bild ({kind})",
        "localizer or scout image": "Übersichtsaufnahme (Localizer, Scout)",
        "map or screen picture instead of attenuation": "Karte oder Bildschirmbild statt Dichtewerten",
        "colour picture": "Farbbild",
        "pixels that are not plain grey values": "Pixel, die keine einfachen Grauwerte sind",
        "8 bits a pixel, too coarse for Hounsfield units": "8 Bit je Pixel, zu grob für Hounsfield-Einheiten",
        "no position in the patient": "ohne Lage im Patienten",
        "no pixel spacing": "ohne Pixelabstand",
        "pixel values in {unit:name} instead of Hounsfield units": "Pixelwerte in {unit} statt Hounsfield-Einheiten",
        "no valid rescale to Hounsfield units": "ohne gültige Umrechnung in Hounsfield-Einheiten",
        "absurd rescale to Hounsfield units (slope {slope:number}, intercept {intercept:number})": (
            "unsinnige Umrechnung in Hounsfield-Einheiten (Steigung {slope}, Achsenabschnitt {intercept})"
        ),
        "no pixel data": "ohne Pixeldaten",
        "no pixel data within the first 64 MB": "keine Pixeldaten in den ersten 64 MB",
        "damaged deflated data": "beschädigte komprimierte Daten",
        "too large when inflated": "entpackt zu groß",
        "absurd size of {rows:number} x {columns:number} pixels": "unsinnige Größe von {rows} x {columns} Pixeln",
        "absurd number of bits a pixel ({stored:number} of {allocated:number})": (
            "unsinnige Zahl von Bits je Pixel ({stored} von {allocated})"
        ),
        "compression without a decoder ({syntax:name})": "Kompression ohne Decoder ({syntax})",
        "truncated pixel data": "abgeschnittene Pixeldaten",
        "damaged pixel data": "beschädigte Pixeldaten",
        "fewer pixels than rows and columns say": "weniger Pixel, als Zeilen und Spalten angeben",
        "absurd number of fragments": "unsinnige Zahl von Fragmenten",
        "compressed pixels of another size than declared": "komprimierte Pixel von anderer Größe als angegeben",
    },
    _WORDS,
)
"""Why one instance is left out, as it stands inside a sentence."""

SENTENCES = {
    "The series has no images.": "Die Serie hat keine Bilder.",
    "The series has no slice that can be judged.": "Die Serie hat keine beurteilbare Schicht.",
    "The series has {there:count}; at least {needed:number} are needed.": (
        "Die Serie hat {there}; nötig sind mindestens {needed}."
    ),
    "The series covers {there:number} mm; at least {needed:number} mm are needed.": (
        "Die Serie deckt {there} mm ab; nötig sind mindestens {needed} mm."
    ),
    "The slices are not axial: a sagittal, coronal or oblique reformat.": (
        "Die Schichten sind nicht axial: eine sagittale, koronare oder schräge Rekonstruktion."
    ),
    "The slices are turned by a quarter within their plane.": "Die Schichten sind in ihrer Ebene um 90° gedreht.",
    "The pixels of a slice cannot be decoded.": "Die Pixel einer Schicht sind nicht dekodierbar.",
    "The pixels of a slice have another size than its header says.": (
        "Die Pixel einer Schicht haben eine andere Größe, als ihre Kopfdaten angeben."
    ),
    "{some:count} left out: {fault:fault}.": "{some} ausgelassen: {fault}.",
    "{some:count} came twice with different contents; the later one is judged.": (
        "Doppelt mit verschiedenem Inhalt: {some}; beurteilt wird die spätere Fassung."
    ),
    "{some:count} of another size, orientation or run left out.": (
        "Ausgelassen: {some} von anderer Größe, Lage oder Aufnahme."
    ),
    "{some:count} in the place of another one left out.": "Ausgelassen: {some} am Ort einer anderen.",
    "About {some:count} seem to be missing, in {gaps:count}.": "Es fehlen wohl etwa {some}, in {gaps}.",
    "The slices carry no orientation; they are ordered by Slice Location.": (
        "Die Schichten nennen keine Orientierung; geordnet sind sie nach Slice Location."
    ),
    "Pixel spacing is taken from {keyword:name}.": "Der Pixelabstand stammt aus {keyword}.",
    "Pixel spacing is taken from the reconstruction's diameter.": (
        "Der Pixelabstand stammt vom Durchmesser der Rekonstruktion."
    ),
    "This object is not a CT image ({kind:modality}).": "Dieses Objekt ist kein CT-Bild ({kind}).",
    "The modality is {kind:modality}, not CT.": "Die Modalität ist {kind}, nicht CT.",
    "The modality is not CT.": "Die Modalität ist nicht CT.",
    "This is a localizer (scout) image.": "Dies ist eine Übersichtsaufnahme (Localizer, Scout).",
    "This object has no pixel data.": "Dieses Objekt hat keine Pixeldaten.",
    "{some:number} of the {all:number} instances of this series were removed, their time being over.": (
        "{some} der {all} Instanzen dieser Serie sind nach Ablauf ihrer Frist entfernt worden."
    ),
    "The whole series must be sent again.": "Die ganze Serie muss erneut gesendet werden.",
    "acquisition {number:number}": "Aufnahme {number}",
    "header: {header:side}; image: {image:side}": "Kopfdaten: {header}; Bild: {image}",
}
"""English template -> German."""

BOOK = german.BOOK.extended(
    SENTENCES,
    {
        "count": Kind(rf"\d+ (?:{'|'.join(_NOUNS)})s?", _count),
        "modality": Kind(r"unknown modality|\w+", _modality),
        "fault": Kind(r".+?", FAULTS.say),
        "side": Kind(rf"(?:{'|'.join(_SIDES)}|{KINDS['phase'].pattern})", _side),
    },
)

SOURCES = {
    "Contrast/Bolus Agent Phase": "Kontrastphase (Contrast/Bolus Agent Phase)",
    "Contrast/Bolus Agent Administered": "Kontrastmittel verabreicht (Contrast/Bolus Agent Administered)",
    "Contrast/Bolus Agent": "Kontrastmittel",
    "Series Description": "Serienbeschreibung",
    "Protocol Name": "Protokollname",
    "Acquisition Time": "Aufnahmezeit",
    "Body Part Examined": "Untersuchte Region",
    "Study Description": "Untersuchungsbeschreibung",
}
"""Attributes that speak of contrast."""

QUOTED = Phrasebook(
    {
        "{time:number} s before the injection": "{time} s vor der Injektion",
        "{time:number} s after the start of the injection": "{time} s nach Beginn der Injektion",
        "given": "verabreicht",
    },
    _WORDS,
)


def evidence(line: str) -> str:
    """One line of what the header says, "Series Description: portal": the header's own words stay as they are."""
    source, separator, words = line.partition(": ")
    return f"{SOURCES.get(source, source)}{separator}{QUOTED.say(words)}"
