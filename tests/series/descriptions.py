"""Series descriptions as they stand in public archives, each with what one person reads in it.

Two sets. The first was used while the vocabulary was made: rows were changed until it was understood, so its score
shows only that nothing got worse. HELD_OUT was drawn at random afterwards, labelled before the vocabulary was run
on it, and changed nothing: its score is the one to quote. Its reader knew the vocabulary.
"""

UNENHANCED = """
noncontrast
PRE-CONTRAST
Recon 2: ABD PEL WITHOUT - SUPI
CAP WO
GK nativ 3
Unenhanced 30% ACR
CAP W/O CONTRAST
Non_Contrast  5.0  B31f
ABD W/O
NATIVE
ax5x5wo
AXIAL W/O
SAG PLAIN
AXL_WO
Body MIP Non/Contrast/Ax-MIP MPR
ADRENAL WO
THA nativ 3 s
CHEST W/O, iDose (3)
UPPER ABD PLAIN STND 2.5MM
PRE LIVER ST+ A40
Recon 2: PRZED KONTRASTEM
Przed kontrsatem
,,Sagittal,3.5,Sagittal,NATIVE/Sagittal,
ABD PELVIS C-
C- CHEST
KIDNEYS I-  5.0  B30f
CORONAL NO IV
WITHOUT_IV_CONTR
.625x.625 unenhanced
NON CON SAG 2x2
AX THK NC
1X1 AXIAL FEMUR-TOES NCE
CT WB_preC  2.5
ThoraxWithout  5.0  B70s LUNG
PLAIN_Liver_3_0_SPO
UNENHANCED Body 5.0 CE
Kids w/o  5.0  B40f
PRE///FC12/ORG/
Pre_Infusion
abdpelvis without supi
Abdomen ohne KM
Thorax nativ 1,0 Br40
SANS IV
TAP sans injection
ABDOMEN SIN CONTRASTE
senza mdc 5mm
Fase basale
sem contraste axial
blanco abdomen
kontrastsiz 5.0
3_0_Axial__NonCon
"""

ARTERIAL = """
arterial
ARTERIAL Body 5.0 CE  Axial
THORAX PE ART AXIAL 3X3
Late art. phase  3.0  B40f
Late_Arterial
LateArt_Phase  0.75  Br34  5
1_5mm_Late_Arterial_A_100kV
Arterial Phase    1.5  I30f
25_SEC_DELAY_iDose_3_
35 SEC DELAY
35S_IMR
Body Axial 25 Sec Delay
FAZA TETNICZA 3D
F.TETNICZA  5.0  I30f  3
+C Tetnicza
po iv tetnicza
CORONAL ARTERIAL<MPR Thick Range>
Chest w ART Lung
59 ARTERIAL ABD AXIAL 3X2
0.625 ARTERIAL
ABD/PELVIS C (ARTERIAL) ST
ART_C_A_COR
Recon 2: ARTERIAL
CE_Sagittal_ARTERIAL_Sagittal_Sagittal
Body_4_0_Arterial_Phase_Sagittal_CE
CTA 3.000 CE
CTPA AXIAL MIP
CHEST R/O PE
PE Protocol  1.0  B60f
Pancreatic/Phase/Coronal Coronal
Abdomen arteriell 1.5
Phase artérielle
Fase arteriosa tardiva
Spätarteriell 3.0
fase arterial 1.25
Temps artériel précoce
Corticomedullary 3mm
"""

PORTAL_VENOUS = """
Venous Phase  5.0  B30f
P.Venous  3.0  B40f
P.Venous pha  3.0  B40f
COR ABD PV
PORTAL 1.25mm STD
VOLUME PORTAL TX AS
PORTAL_VENOUS
Abd/Pel Portal/venous
PVP
2x2_COR_PVP
VEN ST Axial
VEN A/P STD
VenousPhase  3.0  B30f
Venouse_Phase  5.0  Br32  5
porotal coronals
70_SEC_DELAY_iDose_3_
75 SEC DELAY
70 secdelay 5.0 B30s
90 SECOND DELAY
Abd_Delay_80_SEC
KIDS i+ 100s 3.0 B20f
Coronal 70 sec AP  2.0  B25f
ZYLNA F.
F. ZYLNA  5.0  I30f  3
+C Zylna
,CE,Axial,3.0,,CONTRASTE/VENOSO,
COR_ST_C__Coronal_Chest_Soft_Tissue_5_mm__Venous
PORT VENOUS CORONAL
A/P PORTAL VP
AX VENOUS A/P 5/2.5MM
portalvenös 5.0
Temps portal 2.5mm
fase portal
PV_ST_50keV
MPR, 3MM VENOUS, Coronal
Portal Body 1.0  1.0 Portal
"""

DELAYED = """
DELAY
late
3 MIN DELAY
DELAYED BLADDER
CHEST & DELAY BLADDER
EQUILIBRIO
EQULIBRIO
EQUILIBRIUM_AXIAL_IMAGES
10 MIN DELAY
DEL COR 10MIN
DEL KUB RECON
Delay_5_0_B31f
KIDNEYS & DELAY
10M DELAY 3X3
CE_AX_STD_C_EQUILIB_DELAYED
Excretory Body 1.0 CE  1.0 Excretory CE
Body 5.0 Excret/Phase CE
12 MIN EXCRETION
EXCRETORA 10 MIN
TARDIA DE 15 MTOS
,CE,Coronal,3.0,Coronal,CONTRASTE/TARDIO/Coronal,
OPOZNIONA  5.0  B30f
POZNA
pozna - 10 min
MiednicaPOZNE  5.0  MPR  sag
FAZA PO 5MIN  5.0  B41s
POST CONTRAST  10Min Post Inj
5 minutes POST
Recon 2: +C 10 MIN
180 sec Delay  3.0  B40f
300 sec delay  2.0  B40f
LATE phase    5.0  B30f
Urogram Phas 5.0 B30f
F. OPOZ.  2.0  I26f  3
DELAYED;15 MINUTE;WASHOUT//OMNIPAQUE 350/ VL100/FC12/ORG/
5 MIN DEelay 5.0 B30s
Spätphase 5.0
temps tardif
fase tardiva
geç faz
"""

CONTRAST = """
C+ CHEST
CAP_WITH_IV_CONTRAST
ABD/PELVIS WITH
Body 5.0 CE
I+ highest diagr/iliac crests
MPR, AVEC  IV 5MM AXA, Axial
POST A/P  5.0  B30f
ENHANCED CHEST 2.5
PO KONTRASCIE
J.BRZUSZNA Z KONTR
Kl.p + kontr.  3.0  I41s
KLP+CM  5.0  B31f
100ML_OMNI_350
/ISOVUE 300/FC51
ARTERIAL_AND_VENOUS_A_P
ARTERIAL_VENOUS
TAP ART/VEN AXIAL 3X3
CHEST_ART_1_25_ABD_VENOUS_5
Panc. Arterial - Venous phase
CHST/VEN/DEL ST+ N16.5/12/19
C/C 1.25mm  ART/PORTAL
30, 70, 120 SEC DELAY
2 MIN VENOUS DELAY
Body_4_0_2_Minute_Delay_Coronal_CE
Nephro  5.0  B31f
Delay Nephro  5.0  B31f
I+ NEPHRO/EXCRETORY PHASES
PARENCHYMAL C+
ARTERIAL/PARANCHYMAL
Recon 2: VENOGRAM A/P
AXIAL_LUNG_MIP_WC
ABD/PEL C ORAL/IV
AP W  5.0  B40f
Abdomen mit KM
con contraste
con mdc
"""

NOTHING = """
CTAC_3_75
Recon 2: CTAC 2.5 THICK
CT_Atten_Cor_Legs_3_75_thk
2,OPL,SE,SEN16,T20s,512,1,120,360,360,1
0,OPL,SE,VZOOM,T20s,512,na,120,533,467,na
PULMONARY ARTERY LOCATOR
Reformatted MIP with Locator
Abdomen  3.0  B70s
Topogram  0.6  T20s
PreMonitoring  9.0  B40f
Monitoring 10.00
PSEUDO SMART PREP
TestBolus  10.0  B30f
POST SCOUT
PRE BIOPSY
POST ASPIRATION
Post Stent   3.0  B40f
LIVER 2 PHASE (AP)
FOIE BIPASIQUE
WITH AND DELAY
Chest/Abd/Pe 5.0 B20f
Philips AXIAL 100 mAs (160 mA) recon C - P64UMB ACRIN 04C
Late_Arterial__VNC_S9_S10_1
DE_IODINE__Iodine_S9_S10_1
4Q4 VIRTUAL NONCONTRAST
ABD_PEL_WITH_ORAL_ONLY
RT LATERAL DECUB
SUPINE VIRT
SCOUT AP/LATERAL
PET-CT SERIES
1.25mm
Thorax  2.0  B31f
5.8 TAP : 4 HELICES (SANS/THXABDO ART/AP PORT/TARDIF)
CT ABDOMEN W/WO
W&W/O CONTRAST
Abdomen ohne und mit KM
Recon 2: CHEST W/ BREATH HOLD
High spatial resolution 1.0
GASTROGRAFIN
"""


HELD_OUT = r"""
D DELAY_Body_3_0_CE
P Portal_Venous_Portal_Venous_Reformats_Sagittal
A Lung 3.0 Arterial  /Phase Axial CE
D Cor_10_Min_Delay
A Body_5_0_ARTERIAL_CE
P Venous_A_P_THINS_1_5_B20f
A Arterial Phase  5.0  SPO  cor
P Venous_3_0_Bv40_3
A ARTERIAL_COR
D DELAYED KIDNEY
U AP w/o  3.0  SPO  cor  cor
D DELAYED_KIDNEYS
A ARTERIAL_ARTERIAL_Vol_CE
A ARTERIAL LIVER
P CAP_AX_VENOUS
A Arterial phase  3.0  B40f
D Delay_Delay_Axial
A CTA CTA 2.0 CE  Axial
D COR 3 MIN DELAY
P AXIAL_VENOUS
P Portal_Venous
U Unenhanced   5.0  B30f
U Non Contrast  SAGITTAL
D Body_5_0_Delayed_Liver_CE
U ABD-PEL W/O CONTRAST
D 4 MIN DELAY
A ARTERIAL  3.0  B70f
P Venous_5_0_B80f
A COR_ARTERIAL
P PV Abd/Pel
D DELAY  5.0  B30f ST
A CTA STROKE  TIMING + 7
A CE_Coronal_ARTERIAL_Coronal_Coronal
A Cor Arterial   3.0  SPO
A VOLUME CTA 2.000 CE  Sagittal
A CTA COR 2X2
D 10_min_Liver_Delays
U Non-Contrast  2.0  B20f
U Precontrast 5.0 B30f
C Arterial_and_Venous
A CTA
A Arterial_Lung_3_0_I70f_2
D DELAYS_ID3_iDose_3_
D KIDNEY/BLADDER DELAYS
A 45 sec delay  2.0  B40f
P Venouse_Phase  5.0  MPR  cor
D DELAYED_BLADDER
D 3 min delay  5.0  B40f
D Recon 3: KIDNEYS & DELAY
A Lung 3.0 Arterial/Phase/Coronal Coronal CE
A Lung Coronal 25 Sec Delay
P CE_Coronal_PORTAL_VEN_Coronal_Coronal
D Delays_7_0_ST_
D Delay_2_0_I26f_MPR_COR
D Delays  5.0  B25f
C Cor Nephro  3.0
P Body 5.000 CE  Coronal Venous/Phase/Coronal
D DELAY  6.0  B40s
P ST_BODY_PORTAL
U Chest WO Lung  5mm
A /ARTERIAL/Vol./CE/FC03/3D-Q06///Vol
U Without_Contrast
P PV Abd Sagittal
U W/O 5X5
D 2x2_COR_DELAY
A Late_Arterial_Late_Arterial_CE
U CAP W/O  5.0  B30s
P VENOUS 1.25 MM
A Arterial Liver  3.0  MPR  sag
P Portal  3.0  MPR  cor
U W_O_AXIAL
X CAP_3x3
C Chest_W_Soft_Tissue
X Lung Coronal Vol.  3.0
P ABD_PEL_70_SEC
X LUNGS_iDose_3_
X ABD/PELVIS   ROUTINE
X 0_6_MM_C_A_P
X CAREVis 6  6.0  B30f
C Body_5_0_CH_AB_W_Coronal_CE
C MPR, 3X3 CHEST W/, SAGITTAL
C Lung_10_000_CE_Ax_MIP_MIP_Ax_MIP
X CAP Routine  3.0  SPO  cor
C C+
X MPR_ABDOMEN_Coronal
X Pancreatic
C Lung_15_000_CE_AIDR_3D_STD
A LateArt_Phase  12.0  MIP  ax
X Abd/Pel  5.0  B31f
X CT WB FUSION
X REFORMAT
X ABDOMEN_PELVIS_2_5mm
X SUPER D IMAGES
A ABD_ART_3_0_I30f_2
X LIVER 3 PHASE (C/A/P)
C Body 2.0 WITH CONT CE
A ART_AX
X COR_CHEST_iDose_3_
C CHEST_With_3_0_I31f_1AA
X Myel_018_a_konv
X ////FL03/ORG//2.0
C Lung_1_0_CE_Lung_Sharp
X URO 5X5
C SAFIRE COR A/P WITH  3.0
X 275 mA 2.5 MM 70% ASIR - 5
A COR MIP PE
X CHEST/ABD  3mm
X CAP_5_0_Bv40_2
X Abdomen_2_0_MPR
X Chest  2.5  B41s
X Myel_019_konv
X Myel_080_konv
X PET_CT_BODY
X SAG BODY 3 x 3
C SPIRAL_OMNI_350
X SAG  1 25
X Chest ABD  5.0  B31f ST
X Topogram  0.6  T80s
C 2.5 +C
X COR<MPR Range[1]>
X CT WB  5.0  eFoV
X ST_CHEST
X Water 1.0 mg/cc
X Sag_Abd_2_0_B31f
X Philips AXIAL 120 mAs (160 mA) recon C - P16 FDA ACR 03C
X Siemens_Sensation16_120_250_1.5_500
X ST C/A/P 5MM
C Abd/Pel With  1.5  MPR  cor
X THORAX  3.0  B70f LUNG
D MPR, DEL KID, Coronal
X ABDOMEN  3.0  B70f
X PRONE HELICAL
C Abd/Pelvis WC
X ST Ax-MIP MPR Ax-MIP 8.000
C LUNG_W_3_0_B70F
X GE AXIAL 3 mAs (120 mA) recon DETAIL SS30 - G64DUKE QUAL 01DETAI
C AX Thins ST WC Body 25.000 CE
X CAREVis 6 left  6.0  B30f
P FAZA ZYLNA  5.0  SPO  cor  cor
U CHEST NO CONTRAST
X Chest 2.0 B60s
X 1.25mm RECON
X Pelvis  3.0  B40f  cor  cor
X NECK BX
X Scout Lat
X FUSED AXIALS< >
X GE_LightspeedPro32_120_250_2.5_200
X 2_5_CHEST_BONE
A Sagittal_CTA_Body_CE_Sagittal
A pe_lung
C Abdpel_w__st
X Recon 2: 50 MA
X Abdomen  0.6  B50s
X Topo Supine  0.6  T20s
X coronal 3x3
X ThoraxRoutine 5.0 B70s
X Sagittal_Body
C CORONAL SOFT TISSUE POST
X T=0%,PR=94% -> 5%,AR(cm)=-2.41 -> -2.28  70CM FOV 3.27MM CT STD
C AXIAL PRONE W/CONTRAST
"""
"""Letter and text: 70 phrases of the phase-worded table, then 90 of the general one without generated names."""

LETTERS: dict[str, tuple[str, bool | None]] = {
    "U": ("unenhanced", False),
    "A": ("arterial", True),
    "P": ("portal venous", True),
    "D": ("delayed", True),
    "C": ("", True),
    "X": ("", None),
}


def held_out() -> list[tuple[str, str, bool | None]]:
    """(description, phase or "", contrast) of the phrases that the vocabulary was not made with."""
    return [(line[2:], *LETTERS[line[0]]) for line in HELD_OUT.strip("\n").split("\n")]


def labelled() -> list[tuple[str, str, bool | None]]:
    """(description, phase or "", contrast) of the phrases that the vocabulary was made with."""
    blocks = [
        (UNENHANCED, "unenhanced", False),
        (ARTERIAL, "arterial", True),
        (PORTAL_VENOUS, "portal venous", True),
        (DELAYED, "delayed", True),
        (CONTRAST, "", True),
        (NOTHING, "", None),
    ]
    return [(line, phase, given) for block, phase, given in blocks for line in block.strip("\n").split("\n")]
