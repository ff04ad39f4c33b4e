"""Draw docs/phantom-samples.png, 16 phantom slices of each phase, and print how fast slices are made.

    OMP_NUM_THREADS=1 python benchmarks/phantom_sheet.py [--output FILE] [--seed 2] [--setting training]

The pictures are synthetic. Window: -160 to 300 HU.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from inference.phantom.generate import random_slices, stream
from inference.phantom.slices import PhantomSlice
from inference.phases import Phase

SIZE = 160
COLUMNS = 8


def main() -> None:
    """Draw the sheet, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/phantom-samples.png"))
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--setting", default="training")
    options = parser.parse_args()
    sheet(options.seed, options.setting).save(options.output, optimize=True)
    print(f"wrote {options.output}")
    for size in (192, 256):
        print(f"{size} x {size}: {rate(size):.0f} slices for each second of processor time")


def sheet(seed: int, setting: str) -> Image.Image:
    """16 slices of each phase in two rows, with a caption over each block."""
    wanted: dict[Phase, list[PhantomSlice]] = {phase: [] for phase in Phase}
    for made in stream(seed, SIZE, setting):
        if made.phase is not None and len(wanted[made.phase]) < 2 * COLUMNS:
            wanted[made.phase].append(made)
        if all(len(slices) == 2 * COLUMNS for slices in wanted.values()):
            break
    caption = 18
    image = Image.new("L", (COLUMNS * SIZE, len(Phase) * (2 * SIZE + caption)))
    draw = ImageDraw.Draw(image)
    for block, phase in enumerate(Phase):
        top = block * (2 * SIZE + caption)
        draw.text((4, top + 3), f"{phase.value}, synthetic", fill=255)
        for k, made in enumerate(wanted[phase]):
            corner = (k % COLUMNS * SIZE, top + caption + k // COLUMNS * SIZE)
            image.paste(Image.fromarray(windowed(made)), corner)
            if made.seconds is not None:
                draw.text((corner[0] + 3, corner[1] + 2), f"{made.seconds:.0f} s", fill=180)
    return image


def windowed(made: PhantomSlice) -> np.ndarray:
    """grey[row, column], 0..255."""
    return np.clip((made.hounsfield + 160) / 460 * 255, 0, 255).astype(np.uint8)


def rate(size: int, count: int = 192) -> float:
    """Slices for each second of processor time; noise tiles are made beforehand."""
    random_slices(1, 48, size)
    start = time.process_time()
    random_slices(2, count, size)
    return count / (time.process_time() - start)


if __name__ == "__main__":
    main()
