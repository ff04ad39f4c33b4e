"""Series descriptions as they stand in public archives, each with what a person reads in it.

The phrases and their labels were set down by reading; they are not the output of the vocabulary.
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


def labelled() -> list[tuple[str, str, bool | None]]:
    """(description, phase or "", contrast) of every phrase."""
    blocks = [
        (UNENHANCED, "unenhanced", False),
        (ARTERIAL, "arterial", True),
        (PORTAL_VENOUS, "portal venous", True),
        (DELAYED, "delayed", True),
        (CONTRAST, "", True),
        (NOTHING, "", None),
    ]
    return [(line, phase, given) for block, phase, given in blocks for line in block.strip("\n").split("\n")]
