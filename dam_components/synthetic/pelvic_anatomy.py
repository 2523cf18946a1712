"""One synthetic male pelvis: the organs' sizes and places, their distances and labels, and the T2 picture of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from scipy.interpolate import CubicSpline

from dam_components.synthetic.pelvic_canvas import Box, Canvas, ray_distance, smooth_field

__all__ = ["Organs", "Subject", "label_organs", "paint_background", "paint_organs", "shape_organs"]

BLADDER, PROSTATE, RECTUM = 1, 2, 3
_GAP_MM = 1.2  # between two organs
_FADE_MM = 5.5  # how far tissue as dark as the gland reaches beyond apex and base

# (tissue, centre, semi-axes, rotation about z in degrees) in mm, drawn on both sides in this order
_PAIRS: tuple[tuple[str, tuple[float, float, float], tuple[float, float, float], float], ...] = (
    ("muscle", (76, -72, -10), (64, 23, 100), 24),  # gluteus maximus
    ("muscle", (126, 4, 10), (20, 54, 70), 10),  # gluteus medius, tensor fasciae latae
    ("muscle", (92, 46, -10), (40, 20, 80), -22),  # iliopsoas, rectus femoris
    ("muscle", (56, 32, -46), (34, 20, 36), -28),  # pectineus, obturator externus
    ("muscle", (54, -6, -8), (11, 40, 46), 12),  # obturator internus
    ("muscle", (86, -32, -8), (26, 13, 40), 8),  # gemelli, quadratus femoris
    ("muscle", (21, 78, 38), (21, 6, 58), 4),  # rectus abdominis
    ("bone", (70, 6, 8), (13, 38, 34), 8),  # acetabulum
    ("bone", (64, -24, -36), (13, 20, 24), 25),  # ischium
    ("bone", (33, 44, -24), (32, 9, 11), -22),  # pubic ramus
    ("cartilage", (90, 6, 6), (27, 27, 27), 0),  # hip joint
    ("bone", (91, 6, 6), (25, 25, 25), 0),  # femoral head
    ("bone", (116, -8, -12), (24, 15, 18), 20),  # femoral neck, greater trochanter
    ("vessel", (58, 68, -10), (5, 5, 70), 0),  # femoral artery
    ("vessel", (47, 64, -10), (6, 5, 70), 0),  # femoral vein
    ("vessel", (42, 18, 40), (4, 3, 34), 0),  # iliac vessels
)


@dataclass(frozen=True)
class Subject:
    """Sizes and places of one subject's organs, all in mm; x to the right, y to the front, z to the head."""

    body: np.ndarray
    prostate: np.ndarray
    prostate_semi: np.ndarray
    prostate_tilt: float
    bladder: np.ndarray
    bladder_semi: np.ndarray
    bladder_wall: float
    rectum_z: np.ndarray
    rectum_path: np.ndarray
    rectum_ends: np.ndarray
    gas: float

    @classmethod
    def draw(cls, rng: Generator) -> Subject:
        """Draws a subject. Bladder and rectum are placed against the prostate, so that they touch and don't cover."""
        semi = np.array((24, 17, 20.5)) * rng.uniform(0.86, 1.26) * rng.uniform(0.93, 1.07, 3)
        prostate = rng.normal((0, 4, -22), (1.5, 2.5, 2.5))
        bladder_semi = np.array((34, 27, 22)) * rng.uniform(0.7, 1.25) * rng.uniform(0.9, 1.1, 3)
        bladder = prostate + (0, 0, semi[2] + 0.8 * bladder_semi[2]) + rng.normal((0, 9, 0), (3, 2, 1))

        z = np.array((-78, -58, -45, -22, 2, 28, 52, 80.0))
        radius = np.array((9, 9, 9.5, 12, 14, 12.5, 11.5, 11)) * rng.uniform(0.88, 1.2) * rng.uniform(0.9, 1.12, 8)
        behind = np.array((-18, -10, -3, 1.5, -8, -20, -19, -6)) + rng.normal(0, 1.5, 8)
        sway = rng.normal(0, 4, 8) * (0.1, 0.2, 0.3, 0.4, 0.9, 1.4, 2, 2.5)
        y = prostate[1] - semi[1] - _GAP_MM - radius + behind
        return cls(
            body=rng.uniform((160, 98), (184, 116)),
            prostate=prostate,
            prostate_semi=semi,
            prostate_tilt=rng.uniform(0.05, 0.3),
            bladder=bladder,
            bladder_semi=bladder_semi,
            bladder_wall=rng.uniform(2.5, 4.5),
            rectum_z=z,
            rectum_path=np.stack((sway + 0.5 * prostate[0], y, radius)),
            rectum_ends=np.array((prostate[2] - semi[2] - rng.uniform(4, 12), prostate[2] + rng.uniform(48, 60))),
            gas=rng.uniform(),
        )


@dataclass(frozen=True)
class Organs:
    """Distances in mm to the organs' surfaces, negative inside, on one box that holds all three.

    ``tube`` is the rectum with what continues it at both ends, ``along`` the height in the prostate from -1 (apex)
    to 1 (base).
    """

    box: Box
    bladder: np.ndarray
    prostate: np.ndarray
    rectum: np.ndarray
    tube: np.ndarray
    along: np.ndarray


def shape_organs(canvas: Canvas, subject: Subject, rng: Generator) -> Organs:
    """Distances to bladder, prostate and rectum; none comes nearer to another than a gap of 1.2 mm."""
    box = canvas.box((-62, -90, -400), (62, 68, 400))
    axes = [axis[part] for axis, part in zip(canvas.axes, box, strict=True)]
    ripple = smooth_field(rng, 17.0, axes)

    x, y, z = canvas.local(box, subject.prostate)
    along = z / float(subject.prostate_semi[2])
    narrow = 1 - 0.1 * (along - 0.2) ** 2 + 0.12 * np.clip(along, -1, 1)  # the apex is narrower than the base
    y = y + subject.prostate_tilt * z
    y = y + 0.004 * x * x * (y < 0)  # the posterior face is hollow
    prostate = ray_distance((x / narrow, y / narrow, z), subject.prostate_semi, power=2.3) + 0.9 * ripple

    x, y, z = canvas.local(box, subject.bladder)
    z = z + 0.15 * y  # the dome leans forward
    bladder = ray_distance((x, y, z), subject.bladder_semi, power=2.2) - 1.5 * ripple

    x, y, _ = canvas.local(box, (0, 0, 0))
    height = canvas.axes[2][box[2]]
    course_x, course_y, radius = CubicSpline(subject.rectum_z, subject.rectum_path, axis=1)(
        np.clip(height, subject.rectum_z[0], subject.rectum_z[-1])
    ).astype(np.float32)
    tube = np.sqrt(((x - course_x) / 1.12) ** 2 + (y - course_y) ** 2) - radius + 1.2 * ripple

    bladder = np.maximum(bladder, _GAP_MM - prostate)
    tube = np.maximum(tube, _GAP_MM - np.minimum(prostate, bladder))
    below, above = subject.rectum_ends.tolist()
    rectum = np.maximum(tube, np.maximum(below - height, height - above))
    return Organs(box, bladder, prostate, rectum, tube, along)


def label_organs(organs: Organs, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 label map of ``shape``: 1 bladder, 2 prostate, 3 rectum where the distance is negative."""
    label = np.zeros(shape, dtype=np.uint8)
    view = label[organs.box]
    view[organs.rectum < 0] = RECTUM
    view[organs.bladder < 0] = BLADDER
    view[organs.prostate < 0] = PROSTATE
    return label


def paint_background(canvas: Canvas, subject: Subject, tissue: Mapping[str, float], rng: Generator) -> None:
    """Paints body outline, fat with strands, muscles, bones, vessels, pelvic floor, sacrum and bowel."""
    everywhere = (slice(None), slice(None), slice(None))
    x, y, z = canvas.bent
    ripple, grain = smooth_field(rng, 20.0, canvas.axes), smooth_field(rng, 5.0, canvas.axes)
    # the zero set of a smooth field is a system of thin sheets, as fasciae and septa are; here and there it fades
    strand = np.clip(1 - np.abs(smooth_field(rng, 9.0, canvas.axes)) / np.float32(0.2), 0, 1)
    strand *= np.clip(0.4 + 0.6 * ripple, 0, 1)

    outline = ray_distance((x, y, np.zeros_like(z[:1, :1])), (*subject.body, 1.0), power=2.4)
    canvas.paint(everywhere, outline, tissue["muscle"])  # skin
    fat = tissue["fat"] * (1 + np.float32(0.06) * ripple + np.float32(0.04) * grain - np.float32(0.45) * strand)
    canvas.paint(everywhere, outline + 2.5, fat)

    for name, centre, semi, turn in _PAIRS:
        shift, size = rng.normal(0, 1.5, 3), rng.uniform(0.94, 1.06, 3)
        for side in (-1, 1):
            place = (np.array(centre) + shift) * (side, 1, 1)
            box, distance = canvas.ellipsoid(place, size * np.array(semi), side * turn)
            distance += min(2.0, 0.15 * min(semi)) * ripple[box]
            if name == "bone":
                canvas.paint(box, distance, tissue["cortex"])
                canvas.paint(box, distance + 1.6, tissue["marrow"] * (1 + 0.1 * grain[box]))
            elif name == "muscle":
                septa = (tissue["fat"] - tissue["muscle"]) * np.float32(0.35) * strand[box]
                canvas.paint(box, distance, tissue["muscle"] * (1 + 0.12 * grain[box]) + septa)
            else:
                canvas.paint(box, distance, tissue[name])

    box, distance = canvas.ellipsoid((0, 50, -24), (4, 9, 17))
    canvas.paint(box, distance, tissue["cartilage"])  # pubic symphysis

    box = canvas.box((-30, -120, -34), (30, -60, 400))
    heights = (-34, -10, 10, 40, 90)
    course, thick = (
        np.interp(canvas.axes[2][box[2]], heights, knots).astype(np.float32)
        for knots in ((-70, -80, -87, -90, -78), (1, 6, 9, 13, 18))
    )
    distance = np.sqrt((x[box] / 1.5) ** 2 + (y[box] - course) ** 2) - thick + 1.5 * ripple[box]
    canvas.paint(box, distance, tissue["cortex"])  # sacrum and coccyx
    canvas.paint(box, distance + 2, tissue["marrow"] * (1 + 0.1 * grain[box]))

    box = canvas.box((-64, -90, -74), (64, 70, 0))
    funnel = np.interp(canvas.axes[2][box[2]], (-74, -60, -45, -25, 0), (15, 18, 25, 36, 47)).astype(np.float32)
    sheet = np.sqrt(x[box] ** 2 + ((y[box] + 10) / 1.15) ** 2) - funnel + 2.5 * ripple[box]
    sheet = np.maximum(np.abs(sheet) - 2 - 0.6 * ripple[box], np.maximum(z[box] + 6, y[box] - 34))
    canvas.paint(box, sheet, tissue["muscle"], cover=0.85)  # levator ani

    box, distance = canvas.ellipsoid((0, 20, 92), (58, 46, 46))
    axes = [axis[part] for axis, part in zip(canvas.axes, box, strict=True)]
    loops = tissue["bowel"] * (1 + np.float32(0.5) * np.cos(4 * smooth_field(rng, 16.0, axes)))
    canvas.paint(box, distance, loops, cover=0.85, edge_mm=6)


def paint_organs(canvas: Canvas, subject: Subject, organs: Organs, tissue: Mapping[str, float], rng: Generator) -> None:
    """Paints rectum, seminal vesicles, bladder and prostate; the prostate's border fades at apex and base."""
    box = organs.box
    x, y, z = (bent[box] for bent in canvas.bent)
    axes = [axis[part] for axis, part in zip(canvas.axes, box, strict=True)]
    coarse, fine = smooth_field(rng, 13.0, axes), smooth_field(rng, 5.0, axes)

    canvas.paint(box, organs.tube, tissue["wall"])
    canvas.paint(box, organs.tube + 3, tissue["mucosa"])
    canvas.paint(box, organs.tube + 5, tissue["stool"] * (1 + 0.25 * coarse + 0.15 * fine))
    course_y = CubicSpline(subject.rectum_z, subject.rectum_path[1])(np.clip(axes[2], -78, 80)).astype(np.float32)
    gas = np.maximum(organs.tube + 4.5, course_y - y + 16 * (0.7 - subject.gas))  # gas rises: the subject is supine
    canvas.paint(box, gas, tissue["air"])

    top = subject.prostate + subject.prostate_semi * (0, -0.65, 1)
    for side in (-1, 1):
        part, distance = canvas.ellipsoid(top + (14 * side, 0, 3), (17, 5.5, 8), -14 * side)
        inner = tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, box, strict=True))
        free = 0.5 - np.minimum(organs.tube, np.minimum(organs.bladder, organs.prostate))[inner]
        canvas.paint(part, np.maximum(distance, free), tissue["zone"] * (1 + 0.3 * fine[inner]))  # seminal vesicles

    canvas.paint(box, organs.bladder, tissue["wall"])
    canvas.paint(box, organs.bladder + subject.bladder_wall, tissue["fluid"])

    end = np.clip((np.abs(organs.along) - 0.35) / 0.5, 0, 1)
    end = end * end * (3 - 2 * end)
    around = organs.prostate - (_FADE_MM + 2 * coarse) * end
    lumen = -subject.bladder_wall - organs.bladder
    canvas.paint(box, np.maximum(around, np.maximum(lumen, -organs.tube)), tissue["sphincter"], edge_mm=2.5)

    cover = 1 - 0.85 * end
    canvas.paint(box, organs.prostate, tissue["cortex"], cover=0.5 * cover)  # capsule
    canvas.paint(box, organs.prostate + 1.2, tissue["zone"] * (1 + 0.08 * fine), cover=cover)
    a, b, c = subject.prostate_semi.tolist()
    px, py, pz = canvas.local(box, subject.prostate)
    gland = ray_distance((px, py - 0.25 * b, pz - 0.1 * c), (0.74 * a, 0.66 * b, 0.85 * c)) + 0.8 * coarse
    gland = np.maximum(gland, organs.prostate + 1.5)
    canvas.paint(box, gland, tissue["gland"] * (1 + 0.16 * coarse + 0.12 * fine), cover=cover)
