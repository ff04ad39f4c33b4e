"""Organs: what a voxel of a phantom is, and the names that the rest of the project uses for it."""

from enum import IntEnum


class Organ(IntEnum):
    """Label of one voxel; the values are those of `PhantomSlice.labels` and never change their meaning."""

    BACKGROUND = 0
    BODY = 1
    FAT = 2
    SKIN = 3
    LUNG = 4
    BONE = 5
    MARROW = 6
    LIVER = 7
    SPLEEN = 8
    KIDNEY_CORTEX = 9
    KIDNEY_MEDULLA = 10
    RENAL_PELVIS = 11
    URETER = 12
    BLADDER = 13
    AORTA = 14
    ILIAC_ARTERY = 15
    INFERIOR_VENA_CAVA = 16
    PORTAL_VEIN = 17
    HEPATIC_VEIN = 18
    MYOCARDIUM = 19
    LEFT_HEART = 20
    RIGHT_HEART = 21
    PULMONARY_ARTERY = 22
    PULMONARY_VEIN = 23
    SUPERIOR_VENA_CAVA = 24
    PANCREAS = 25
    GALLBLADDER = 26
    STOMACH = 27
    BOWEL = 28
    BOWEL_WALL = 29
    GAS = 30
    ORAL_CONTRAST = 31
    CALCIFICATION = 32
    METAL = 33
    TABLE = 34
    TUMOUR = 35
    CYST = 36
    ASCITES = 37
    STONE = 38
    THYROID = 39
    ILIAC_VEIN = 40
    RENAL_VEIN = 41
    ADRENAL = 42
    CARTILAGE = 43
    SPINAL_CANAL = 44
    UTERUS_OR_PROSTATE = 45
    BREAST = 46
    BRACHIOCEPHALIC_VEIN = 47
    STENT = 48
    HYPERVASCULAR_TUMOUR = 49
    MEDIASTINUM = 50
    BRAIN = 51
    WATER = 52
    PLEURAL_EFFUSION = 53
    HEART_FAT = 54
    INFRARENAL_VENA_CAVA = 55
    JUGULAR_VEIN = 56


ENGLISH: dict[Organ, str] = {organ: organ.name.lower().replace("_", " ") for organ in Organ} | {
    Organ.BODY: "muscle",
    Organ.KIDNEY_CORTEX: "renal cortex",
    Organ.KIDNEY_MEDULLA: "renal medulla",
    Organ.INFRARENAL_VENA_CAVA: "infrarenal vena cava",
    Organ.LEFT_HEART: "left heart chambers",
    Organ.RIGHT_HEART: "right heart chambers",
    Organ.BLADDER: "urinary bladder",
    Organ.UTERUS_OR_PROSTATE: "uterus or prostate",
}
"""Organ -> English name, such as "aorta", "inferior vena cava", "renal cortex"."""

PHASE_BEARING: frozenset[Organ] = frozenset(
    {
        Organ.LIVER,
        Organ.SPLEEN,
        Organ.KIDNEY_CORTEX,
        Organ.KIDNEY_MEDULLA,
        Organ.RENAL_PELVIS,
        Organ.URETER,
        Organ.BLADDER,
        Organ.AORTA,
        Organ.ILIAC_ARTERY,
        Organ.INFERIOR_VENA_CAVA,
        Organ.INFRARENAL_VENA_CAVA,
        Organ.JUGULAR_VEIN,
        Organ.ILIAC_VEIN,
        Organ.RENAL_VEIN,
        Organ.PORTAL_VEIN,
        Organ.HEPATIC_VEIN,
        Organ.MYOCARDIUM,
        Organ.LEFT_HEART,
        Organ.RIGHT_HEART,
        Organ.PULMONARY_ARTERY,
        Organ.PULMONARY_VEIN,
        Organ.SUPERIOR_VENA_CAVA,
        Organ.BRACHIOCEPHALIC_VEIN,
        Organ.PANCREAS,
        Organ.BOWEL_WALL,
        Organ.THYROID,
        Organ.HYPERVASCULAR_TUMOUR,
    }
)
"""Organs whose attenuation tells the phase: the truth against which an explanation map is scored."""

VESSELS: frozenset[Organ] = frozenset(
    {
        Organ.AORTA,
        Organ.ILIAC_ARTERY,
        Organ.INFERIOR_VENA_CAVA,
        Organ.INFRARENAL_VENA_CAVA,
        Organ.JUGULAR_VEIN,
        Organ.ILIAC_VEIN,
        Organ.RENAL_VEIN,
        Organ.PORTAL_VEIN,
        Organ.HEPATIC_VEIN,
        Organ.LEFT_HEART,
        Organ.RIGHT_HEART,
        Organ.PULMONARY_ARTERY,
        Organ.PULMONARY_VEIN,
        Organ.SUPERIOR_VENA_CAVA,
        Organ.BRACHIOCEPHALIC_VEIN,
    }
)
"""Organs that hold blood and nothing else."""
