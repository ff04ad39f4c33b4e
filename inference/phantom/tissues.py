"""Tissues: organs that contrast fills alike, as one: what a generator of counterfactuals is taught to tell apart."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from inference.phantom.organs import Organ

UNKNOWN = 255
"""Of a pixel of which nobody says what it is: air outside, and what was not outlined."""


class Tissue(IntEnum):
    """What a pixel is made of, as far as the time since the injection is concerned."""

    GAS = 0
    LUNG = 1
    FAT = 2
    BONE = 3
    SOFT = 4
    CONTENTS = 5
    LIVER = 6
    SPLEEN = 7
    CORTEX = 8
    MEDULLA = 9
    URINE = 10
    ARTERY = 11
    UPPER_CAVA = 12
    LOWER_VEIN = 13
    PORTAL_VEIN = 14
    HEPATIC_VEIN = 15
    RIGHT_HEART = 16
    LEFT_HEART = 17
    MYOCARDIUM = 18
    GUT = 19


STILL = (Tissue.GAS, Tissue.LUNG, Tissue.FAT, Tissue.BONE, Tissue.CONTENTS)
"""What looks the same at every time."""

_MEMBERS: dict[Tissue, tuple[Organ, ...]] = {
    Tissue.GAS: (Organ.GAS, Organ.TABLE),
    Tissue.LUNG: (Organ.LUNG,),
    Tissue.FAT: (Organ.FAT, Organ.SKIN, Organ.BREAST, Organ.HEART_FAT, Organ.MEDIASTINUM),
    Tissue.BONE: (
        *(Organ.BONE, Organ.MARROW, Organ.CARTILAGE, Organ.CALCIFICATION, Organ.METAL),
        *(Organ.STENT, Organ.STONE, Organ.SPINAL_CANAL),
    ),
    Tissue.CONTENTS: (
        *(Organ.GALLBLADDER, Organ.STOMACH, Organ.BOWEL, Organ.ORAL_CONTRAST, Organ.CYST),
        *(Organ.ASCITES, Organ.WATER, Organ.PLEURAL_EFFUSION),
    ),
    Tissue.LIVER: (Organ.LIVER,),
    Tissue.SPLEEN: (Organ.SPLEEN,),
    Tissue.CORTEX: (Organ.KIDNEY_CORTEX,),
    Tissue.MEDULLA: (Organ.KIDNEY_MEDULLA,),
    Tissue.URINE: (Organ.RENAL_PELVIS, Organ.URETER, Organ.BLADDER),
    Tissue.ARTERY: (Organ.AORTA, Organ.ILIAC_ARTERY),
    Tissue.UPPER_CAVA: (Organ.INFERIOR_VENA_CAVA, Organ.RENAL_VEIN),
    Tissue.LOWER_VEIN: (Organ.INFRARENAL_VENA_CAVA, Organ.ILIAC_VEIN),
    Tissue.PORTAL_VEIN: (Organ.PORTAL_VEIN,),
    Tissue.HEPATIC_VEIN: (Organ.HEPATIC_VEIN,),
    Tissue.RIGHT_HEART: (
        *(Organ.RIGHT_HEART, Organ.PULMONARY_ARTERY, Organ.SUPERIOR_VENA_CAVA),
        *(Organ.BRACHIOCEPHALIC_VEIN, Organ.JUGULAR_VEIN),
    ),
    Tissue.LEFT_HEART: (Organ.LEFT_HEART, Organ.PULMONARY_VEIN),
    Tissue.MYOCARDIUM: (Organ.MYOCARDIUM,),
    Tissue.GUT: (Organ.PANCREAS, Organ.BOWEL_WALL, Organ.THYROID, Organ.HYPERVASCULAR_TUMOUR, Organ.ADRENAL),
}


def tissue_table() -> NDArray[np.uint8]:
    """table[Organ] = Tissue; UNKNOWN for Organ.BACKGROUND; what has no place of its own is soft tissue."""
    table = np.full(256, Tissue.SOFT, np.uint8)
    table[Organ.BACKGROUND] = UNKNOWN
    for tissue, organs in _MEMBERS.items():
        table[list(organs)] = tissue
    return table
