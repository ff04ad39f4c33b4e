"""Every coded concept that is written, with the template (TID) or context group (CID) of PS3.16 that it comes from.

There is no context group for CT contrast phases; (109058, DCM, "Contrast Phase") is a phase of a cardiac
catheterisation. The phases are therefore RadLex, which PS3.16 uses elsewhere (CID 6335). What no scheme has, such as
the probability of one phase, is ours: scheme 99DICOMNODE, identified in each object by the Coding Scheme Identification
Sequence.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from inference.phases import Phase

OWN_SCHEME = "99DICOMNODE"


@dataclass(frozen=True)
class Concept:
    """One coded concept: PS3.3 section 8.8, Code Sequence Macro."""

    value: str
    """At most 16 characters."""
    scheme: str
    meaning: str
    """English; at most 64 characters."""
    german: str = ""
    """The meaning in German reports. Empty for names that templates fix: a validator compares those word by word."""

    def said(self, language: str) -> str:
        """The meaning in a language of `ResultOptions`."""
        return self.german if language == "de" and self.german else self.meaning

    @property
    def key(self) -> tuple[str, str]:
        """(value, scheme): what the concept is, whatever it is called."""
        return self.value, self.scheme


@dataclass(frozen=True)
class CodingScheme:
    """An item of the Coding Scheme Identification Sequence, PS3.3 section C.12.1.1."""

    designator: str
    name: str
    organisation: str


SCHEMES: Mapping[str, CodingScheme] = {
    OWN_SCHEME: CodingScheme(OWN_SCHEME, "Codes of the dicomnode project", "dicomnode"),
    "RADLEX": CodingScheme("RADLEX", "RadLex", "RSNA"),
}
"""Schemes that are not DICOM's own and are therefore identified where they are used."""

# The answer: Finding (121071, DCM) of the group of the series.
PHASES: Mapping[Phase, Concept] = {
    Phase.UNENHANCED: Concept("RID11086", "RADLEX", "unenhanced phase", "native Phase"),
    Phase.ARTERIAL: Concept("RID11080", "RADLEX", "arterial phase", "arterielle Phase"),
    Phase.PORTAL_VENOUS: Concept("RID11085", "RADLEX", "portal venous phase", "portalvenöse Phase"),
    Phase.DELAYED: Concept("RID11081", "RADLEX", "delayed phase", "Spätphase"),
}
# DCM has (128554, "Suboptimal contrast timing"), but that judges the examination; this judges the answer.
INDETERMINATE = Concept("INDETERMINATE", OWN_SCHEME, "indeterminate contrast phase", "Kontrastphase unbestimmt")
DECLINED = Concept("DECLINED", OWN_SCHEME, "contrast phase not judged", "Kontrastphase nicht beurteilt")
ENHANCEMENT_PHASE = Concept("RID11079", "RADLEX", "enhancement phase", "Kontrastphase")

# Numbers of the group of the series, TID 300.
CERTAINTY = Concept("111012", "DCM", "Certainty of Finding", "Sicherheit des Befundes")
PROBABILITIES: Mapping[Phase, Concept] = {
    Phase.UNENHANCED: Concept(
        "P_UNENHANCED", OWN_SCHEME, "Probability of unenhanced phase", "Wahrscheinlichkeit native Phase"
    ),
    Phase.ARTERIAL: Concept(
        "P_ARTERIAL", OWN_SCHEME, "Probability of arterial phase", "Wahrscheinlichkeit arterielle Phase"
    ),
    Phase.PORTAL_VENOUS: Concept(
        "P_PORTAL_VENOUS", OWN_SCHEME, "Probability of portal venous phase", "Wahrscheinlichkeit portalvenöse Phase"
    ),
    Phase.DELAYED: Concept("P_DELAYED", OWN_SCHEME, "Probability of delayed phase", "Wahrscheinlichkeit Spätphase"),
}
SECONDS = Concept(
    "122665", "DCM", "Time interval since injection of contrast media", "Zeit seit Injektion des Kontrastmittels"
)
SECONDS_LOW = Concept(
    "SECONDS_LOW", OWN_SCHEME, "Time since injection, lower bound (80 %)", "Zeit seit Injektion, untere Grenze (80 %)"
)
SECONDS_HIGH = Concept(
    "SECONDS_HIGH", OWN_SCHEME, "Time since injection, upper bound (80 %)", "Zeit seit Injektion, obere Grenze (80 %)"
)

# Finding of the group of a key slice.
KEY_SLICE = Concept("KEY_SLICE", OWN_SCHEME, "slice that shows the answer", "Schicht, die das Ergebnis zeigt")

# The group of an explanation map: Finding from CID 217, numbers of our own.
CLASS_ACTIVATION = Concept("130402", "DCM", "Class activation", "Klassenaktivierung")
GRADIENT_CLASS_ACTIVATION = Concept(
    "130403", "DCM", "Gradient-weighted class activation", "Gradientengewichtete Klassenaktivierung"
)
SALIENCY = Concept("130404", "DCM", "Saliency", "Salienz")
POOR_MAP = Concept(
    "POOR_MAP", OWN_SCHEME, "explanation map that failed its tests", "Erklärungskarte, die ihre Prüfung nicht bestand"
)
DELETION = Concept("MAP_DELETION", OWN_SCHEME, "Map score: deletion AUC", "Kartengüte: Deletion-AUC")
INSERTION = Concept("MAP_INSERTION", OWN_SCHEME, "Map score: insertion AUC", "Kartengüte: Insertion-AUC")
RANDOMISATION = Concept(
    "MAP_RANDOMISED",
    OWN_SCHEME,
    "Map score: correlation with random weights",
    "Kartengüte: Korrelation mit Zufallsnetz",
)
ORGAN_SHARE = Concept("MAP_ORGAN_SHARE", OWN_SCHEME, "Map score: share in organs", "Kartengüte: Anteil in Organen")

# The group of an organ: CID 6141 and CID 7469.
MEDIAN_HU = Concept("112182", "DCM", "Median Attenuation Coefficient", "Median der Dichte")
MEAN_HU = Concept("112181", "DCM", "Mean Attenuation Coefficient", "Mittlere Dichte")
DEVIATION_HU = Concept(
    "112183", "DCM", "Standard Deviation of Attenuation Coefficient", "Standardabweichung der Dichte"
)
VOLUME = Concept("118565006", "SCT", "Volume", "Volumen")

# Qualitative evaluations, TID 1500 rows 12 to 14.
QUALITATIVE = Concept("C0034375", "UMLS", "Qualitative Evaluations")
HEADER_CONTRAST = Concept("HEADER_CONTRAST", OWN_SCHEME, "Contrast given, says the header", "Kontrast laut Header")
HEADER_PHASE = Concept("HEADER_PHASE", OWN_SCHEME, "Phase, says the header", "Phase laut Header")
HEADER_EVIDENCE = Concept("HEADER_EVIDENCE", OWN_SCHEME, "Evidence in the header", "Beleg im Header")
DISAGREEMENT = Concept("DISAGREEMENT", OWN_SCHEME, "Header and image disagree", "Header und Bild widersprechen sich")
REASON = Concept("REASON", OWN_SCHEME, "Reason", "Grund")
ORGAN_VOTE = Concept("ORGAN_VOTE", OWN_SCHEME, "Evidence of the organs", "Beleg der Organe")
INTENDED_USE = Concept("INTENDED_USE", OWN_SCHEME, "Intended use", "Verwendungszweck")
YES = Concept("373066001", "SCT", "Yes", "Ja")
NO = Concept("373067005", "SCT", "No", "Nein")

# Structure: TID 1500, 1410, 2000, 1204, 1001, 1004, 4019, 4108.
IMAGING_MEASUREMENT_REPORT = Concept("126000", "DCM", "Imaging Measurement Report")
DIAGNOSTIC_REPORT = Concept("18748-4", "LN", "Diagnostic Imaging Report")
IMAGE_LIBRARY = Concept("111028", "DCM", "Image Library")  # TID 1600
IMAGE_LIBRARY_GROUP = Concept("126200", "DCM", "Image Library Group")
IMAGING_MEASUREMENTS = Concept("126010", "DCM", "Imaging Measurements")
MEASUREMENT_GROUP = Concept("125007", "DCM", "Measurement Group")
TRACKING_IDENTIFIER = Concept("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Concept("112040", "DCM", "Tracking Unique Identifier")
FINDINGS = Concept("121070", "DCM", "Findings")
FINDING = Concept("121071", "DCM", "Finding")
FINDING_SITE = Concept("363698007", "SCT", "Finding Site")
IMAGE_REGION = Concept("111030", "DCM", "Image Region")
REFERENCED_SEGMENT = Concept("121191", "DCM", "Referenced Segment")  # TID 1411
SOURCE_SERIES_FOR_SEGMENTATION = Concept("121232", "DCM", "Source series for segmentation")
SOURCE = Concept("260753009", "SCT", "Source")
SOURCE_OF_MEASUREMENT = Concept("121112", "DCM", "Source of Measurement")
PROCEDURE_REPORTED = Concept("121058", "DCM", "Procedure reported")
CT_PROCEDURE = Concept("25045-6", "LN", "CT unspecified body region")  # CID 100
LANGUAGE = Concept("121049", "DCM", "Language of Content Item and Descendants")
LANGUAGES: Mapping[str, Concept] = {
    "en": Concept("en-US", "RFC5646", "English (United States)"),
    "de": Concept("de-DE", "RFC5646", "German (Germany)"),
}
OBSERVER_TYPE = Concept("121005", "DCM", "Observer Type")
DEVICE = Concept("121007", "DCM", "Device")
DEVICE_UID = Concept("121012", "DCM", "Device Observer UID")
DEVICE_NAME = Concept("121013", "DCM", "Device Observer Name")
DEVICE_MANUFACTURER = Concept("121014", "DCM", "Device Observer Manufacturer")
DEVICE_MODEL = Concept("121015", "DCM", "Device Observer Model Name")
DEVICE_SERIAL = Concept("121016", "DCM", "Device Observer Serial Number")
ALGORITHM_NAME = Concept("111001", "DCM", "Algorithm Name")
ALGORITHM_VERSION = Concept("111003", "DCM", "Algorithm Version")
ALGORITHM_PARAMETERS = Concept("111002", "DCM", "Algorithm Parameters")
ALGORITHM_FAMILY = Concept("111000", "DCM", "Algorithm Family")
ARTIFICIAL_INTELLIGENCE = Concept("123110", "DCM", "Artificial Intelligence", "Künstliche Intelligenz")  # CID 7162

# Units, UCUM.
PERCENT = Concept("%", "UCUM", "Percent", "Prozent")
SECOND = Concept("s", "UCUM", "second", "Sekunde")
NO_UNITS = Concept("1", "UCUM", "no units", "ohne Einheit")
HOUNSFIELD = Concept("[hnsf'U]", "UCUM", "Hounsfield unit", "Hounsfield-Einheit")
MILLILITRE = Concept("ml", "UCUM", "Milliliter", "Milliliter")

# Headers: CID 7005 and CID 7202.
ACQUISITION_EQUIPMENT = Concept("109101", "DCM", "Acquisition Equipment")
PROCESSING_EQUIPMENT = Concept("109102", "DCM", "Processing Equipment")
SOURCE_IMAGE = Concept("121322", "DCM", "Source image for image processing operation")

# Options: TID 2010 with CID 7010 for key objects; CID 7203 for derivation, CID 7150 for segments.
OF_INTEREST = Concept("113000", "DCM", "Of Interest")
KEY_OBJECT_DESCRIPTION = Concept("113012", "DCM", "Key Object Description")
CALCULATION = Concept("112187", "DCM", "Unspecified method of calculation")
SYNTHETIC = Concept(
    "SYNTHETIC", OWN_SCHEME, "Synthetic image, not the patient", "Synthetisches Bild, nicht der Patient"
)
SEGMENTATION = Concept("113076", "DCM", "Segmentation")
BACKGROUND = Concept("125040", "DCM", "Background")
ANATOMICAL_STRUCTURE = Concept("91723000", "SCT", "Anatomical Structure")
QUANTITY = Concept("246205007", "SCT", "Quantity")

ORGANS: Mapping[str, Concept] = {
    "aorta": Concept("15825003", "SCT", "Aorta", "Aorta"),
    "abdominal aorta": Concept("7832008", "SCT", "Abdominal aorta", "Aorta abdominalis"),
    "adrenal": Concept("23451007", "SCT", "Adrenal gland", "Nebenniere"),
    "brachiocephalic vein": Concept("8887007", "SCT", "Brachiocephalic vein", "Vena brachiocephalica"),
    "gallbladder": Concept("28231008", "SCT", "Gallbladder", "Gallenblase"),
    "hepatic vein": Concept("8993003", "SCT", "Hepatic vein", "Lebervene"),
    "heart": Concept("80891009", "SCT", "Heart", "Herz"),
    "iliac artery": Concept("10293006", "SCT", "Iliac artery", "Arteria iliaca"),
    "iliac vein": Concept("244411005", "SCT", "Iliac vein", "Vena iliaca"),
    "inferior vena cava": Concept("64131007", "SCT", "Inferior vena cava", "Vena cava inferior"),
    "internal carotid artery": Concept("86117002", "SCT", "Internal carotid artery", "Arteria carotis interna"),
    "kidney": Concept("64033007", "SCT", "Kidney", "Niere"),
    "renal cortex": Concept("50403003", "SCT", "Renal cortex", "Nierenrinde"),
    "liver": Concept("10200004", "SCT", "Liver", "Leber"),
    "pancreas": Concept("15776009", "SCT", "Pancreas", "Pankreas"),
    "portal vein": Concept("32764006", "SCT", "Portal vein", "Pfortader"),
    "pulmonary artery": Concept("81040000", "SCT", "Pulmonary artery", "Pulmonalarterie"),
    "pulmonary vein": Concept("122972007", "SCT", "Pulmonary vein", "Pulmonalvene"),
    "renal pelvis": Concept("25990002", "SCT", "Renal pelvis", "Nierenbecken"),
    "renal vein": Concept("56400007", "SCT", "Renal vein", "Nierenvene"),
    "small intestine": Concept("30315005", "SCT", "Small intestine", "Dünndarm"),
    "spleen": Concept("78961009", "SCT", "Spleen", "Milz"),
    "stomach": Concept("69695003", "SCT", "Stomach", "Magen"),
    "superior vena cava": Concept("48345005", "SCT", "Superior vena cava", "Vena cava superior"),
    "thyroid": Concept("69748006", "SCT", "Thyroid", "Schilddrüse"),
    "ureter": Concept("87953007", "SCT", "Ureter", "Harnleiter"),
    "urinary bladder": Concept("89837001", "SCT", "Urinary bladder", "Harnblase"),
}
_ORGAN_SYNONYMS = {
    "bladder": "urinary bladder",
    "bowel": "small intestine",
    "kidney cortex": "renal cortex",
    "kidney medulla": "kidney",
    "renal medulla": "kidney",
    "kidneys": "kidney",
    "left heart": "heart",
    "left kidney": "kidney",
    "myocardium": "heart",
    "right heart": "heart",
    "right kidney": "kidney",
}


def organ(name: str) -> Concept | None:
    """The SNOMED CT concept of an organ's name; None when none is known, and the name alone must say it."""
    plain = name.replace("_", " ").replace("-", " ").strip().lower()
    return ORGANS.get(_ORGAN_SYNONYMS.get(plain, plain))


_MAPS: Mapping[str, Concept] = {"saliency": SALIENCY, "guided backpropagation": SALIENCY, "cam": CLASS_ACTIVATION}


def explanation(method: str) -> Concept:
    """The kind of a map, CID 217. SAM multiplies saliency with a gradient-weighted activation: the latter names it."""
    return _MAPS.get(method, GRADIENT_CLASS_ACTIVATION)


def _all() -> dict[tuple[str, str], Concept]:
    tables = (PHASES, PROBABILITIES, LANGUAGES, ORGANS)
    concepts = [c for c in globals().values() if isinstance(c, Concept)]
    concepts += [c for table in tables for c in table.values()]
    return {concept.key: concept for concept in concepts}


ALL: Mapping[tuple[str, str], Concept] = _all()
"""Every concept that may be written, by (value, scheme): the gate refuses any other."""
