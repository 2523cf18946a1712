"""Where the files of a labelled dataset lie, and what its labels hold: new_bundle and dam train."""

import json
import logging
from pathlib import Path

import nibabel as nib
import numpy as np

from dam_components.commands.planning import new_bundle
from dam_components.data import decathlon_split, list_inference_cases
from dam_components.data.dataset_layouts import listed_name, read_dataset
from dam_components.data.finding import at_level, summary_lines
from dam_components.planning.dataset_check import check_dataset
from dam_components.planning.label_files import read_label, use_label_values
from dam_components.transforms import LoadCased, named_by_case
from dam_components.transforms.case_report import case_file
from tests.checks.table import refused, taken

PLACE = "Layouts of labelled datasets and values of labels"
BUNDLE = Path(__file__).parents[2] / "bundle"
LABEL = np.zeros((10, 10, 8), np.uint8)
LABEL[3:6, 3:6, 3:6] = 1
LABEL[6:8, 3:6, 3:6] = 2


def put(file, array, number=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(array, np.float32) if array is None or array.dtype == float else array
    nib.save(nib.Nifti1Image(array, np.eye(4)), file)
    return file


def image(number, channel=0):
    return np.random.default_rng(10 * number + channel).normal(100, 10, LABEL.shape).astype(np.float32)


def make(folder, images, label, cases=4, labels=LABEL):
    """Files of each case: names of images by channel, and of the label, with {c} for the case."""
    for number in range(cases):
        for channel, name in enumerate(images):
            put(folder / name.format(c=f"c{number}"), image(number, channel))
        put(folder / label.format(c=f"c{number}"), labels)
    return folder


def check(folder, cases=4, channels=1, **options):
    """Reads the dataset, all of whose cases must pass, and returns it."""
    dataset = read_dataset(folder, **options)
    surveys, findings = check_dataset(dataset, progress=False)
    assert not at_level(findings, "error"), findings
    assert len(surveys) == cases
    assert all(survey.channels == channels for survey in surveys)
    return dataset


def bundle(folder, tmp_path, **options):
    new_bundle(str(folder), str(tmp_path / "bundle"), bundle=str(BUNDLE), **options)
    return json.loads((tmp_path / "bundle" / "configs" / "train.json").read_text())


def all_lines(folder, **options):
    """Raises what new_bundle prints, so that a row can name a part of it."""
    _, findings = check_dataset(read_dataset(folder, **options), progress=False)
    raise SystemExit(" | ".join(summary_lines(findings)))


@taken(PLACE, "a folder a case, X_seg beside X (IBSR18)", "taken")
def _(tmp_path):
    check(make(tmp_path, ["{c}/{c}.nii.gz"], "{c}/{c}_seg.nii.gz"))


@taken(PLACE, "a flat folder, X_label beside X", "taken")
def _(tmp_path):
    check(make(tmp_path, ["{c}.nii"], "{c}_label.nii"))


@taken(PLACE, "a label beside several channels, X_t1, X_flair, X_seg (BraTS)", "channels by name")
def _(tmp_path):
    found = check(make(tmp_path, ["{c}/{c}_flair.nii.gz", "{c}/{c}_t1.nii.gz"], "{c}/{c}_seg.nii.gz"), channels=2)
    assert found.channel_names == ["flair", "t1"]


@taken(PLACE, "X_gt beside X with a cine in the same folder (ACDC)", "the cine is left out, with a warning")
def _(tmp_path):
    make(tmp_path, ["{c}/{c}_frame01.nii.gz"], "{c}/{c}_frame01_gt.nii.gz")
    put(tmp_path / "c0" / "c0_4d.nii.gz", np.zeros((10, 10, 8, 5), np.float32))
    found = check(tmp_path)
    assert ["c0_4d" in finding.where for finding in found.findings] == [True]


@taken(PLACE, "several labels in a patient's folder (ACDC), sessions of a subject (BIDS)", "one section of a fold")
def _(tmp_path):
    for number in range(4):
        for frame in (1, 2):
            name = f"p{number}_frame{frame}"
            put(tmp_path / "acdc" / f"p{number}" / f"{name}.nii.gz", image(number, frame))
            put(tmp_path / "acdc" / f"p{number}" / f"{name}_gt.nii.gz", LABEL)
            name = f"sub-{number}_ses-{frame}"
            put(tmp_path / "bids" / f"sub-{number}" / f"ses-{frame}" / f"{name}_T1w.nii", image(number, frame))
            put(tmp_path / "bids" / "derivatives" / "manual" / f"sub-{number}" / f"{name}_dseg.nii", LABEL)
    for kind, share in (("acdc", "_frame"), ("bids", "_ses-")):
        assert check(tmp_path / kind, cases=8).patients == 4
        train = bundle(tmp_path / kind, tmp_path / f"{kind}_bundle")
        assert (train["folds"]["folds"], train["folds"]["validation"]) == (4, 2)
        data = tmp_path / f"{kind}_bundle" / "bundle" / "data"
        for fold in range(4):
            test = decathlon_split(data, "test", **{**train["folds"], "fold": fold})
            assert len(test) == 2
            assert len({case["case"].split(share)[0] for case in test}) == 1


@taken(
    PLACE,
    "an image and a label of one stem, example_ct and example_seg (CT_example)",
    "taken, the rest of its name is the channel",
)
def _(tmp_path):
    found = check(make(tmp_path, ["{c}_ct.nii.gz"], "{c}_seg.nii.gz"))
    assert found.channel_names == ["ct"]


@taken(PLACE, "imaging and segmentation in a folder a case (KiTS)", "a case has the name of its folder")
def _(tmp_path):
    make(tmp_path, ["{c}/imaging.nii.gz"], "{c}/segmentation.nii.gz")
    put(tmp_path / "c0" / "instances" / "kidney_1.nii.gz", LABEL)
    assert [case.name for case in check(tmp_path).cases] == ["c0", "c1", "c2", "c3"]
    assert [listed_name(case) for case in list_inference_cases(tmp_path)] == ["c0", "c1", "c2", "c3"]


@taken(PLACE, "several images beside a file called label, in a folder a case", "channels by name")
def _(tmp_path):
    found = check(make(tmp_path, ["{c}/flair.nii", "{c}/t1.nii"], "{c}/label.nii"), channels=2)
    assert found.channel_names == ["flair", "t1"]
    for number in (1, 2):
        for channel, name in enumerate(("T1", "T2", "b1000", "b500")):
            put(tmp_path / "numbers" / str(number) / f"{name}.nii", image(number, channel))
        put(tmp_path / "numbers" / str(number) / "seg.nii", LABEL)
    found = check(tmp_path / "numbers", cases=2, channels=4)
    assert found.channel_names == ["T1", "T2", "b1000", "b500"]


@taken(PLACE, "scans of numbered names beside a file called mask, IMG001 and IMG002", "one channel")
def _(tmp_path):
    for number in range(4):
        put(tmp_path / f"p{number}" / f"IMG00{number}.nii", image(number))
        put(tmp_path / f"p{number}" / "mask.nii", LABEL)
    assert [case.images[0].name for case in check(tmp_path).cases][:2] == ["IMG000.nii", "IMG001.nii"]


@refused(PLACE, "another kind of image in one of the folders, ct and pet", "has the images pet, others ct, pet")
def _(tmp_path):
    make(tmp_path, ["{c}/ct.nii"], "{c}/label.nii")
    (tmp_path / "c3" / "ct.nii").rename(tmp_path / "c3" / "pet.nii")
    all_lines(tmp_path)


@taken(PLACE, "segmentation-0 beside volume-0 (LiTS)", "a case has the name of its image; inference takes the images")
def _(tmp_path):
    for number in (0, 1, 10):
        put(tmp_path / f"volume-{number}.nii", image(number))
        put(tmp_path / f"segmentation-{number}.nii", LABEL)
    names = ["volume-0", "volume-1", "volume-10"]
    assert sorted(case.name for case in check(tmp_path, cases=3).cases) == names
    assert sorted(listed_name(case) for case in list_inference_cases(tmp_path)) == names


@taken(PLACE, "two folders whose names differ in a word, img0001 and label0001 (BTCV), a and a_seg", "pairs")
def _(tmp_path):
    for number in range(4):
        put(tmp_path / "a" / "img" / f"img000{number}.nii.gz", image(number))
        put(tmp_path / "a" / "label" / f"label000{number}.nii.gz", LABEL)
    assert [case.name for case in check(tmp_path / "a").cases] == ["img0000", "img0001", "img0002", "img0003"]
    found = check(make(tmp_path / "b", ["images/{c}.nii"], "labels/{c}_seg.nii"))
    assert [case.name for case in found.cases] == ["c0", "c1", "c2", "c3"]


@refused(PLACE, "two labels of one image in two folders, a and a_seg", "is a second label of c1, beside")
def _(tmp_path):
    make(tmp_path, ["images/{c}.nii"], "labels/{c}.nii")
    put(tmp_path / "labels" / "c1_seg.nii", LABEL)
    all_lines(tmp_path)


@taken(PLACE, "BIDS with its images in rawdata (VerSe)", "taken")
def _(tmp_path):
    for number in range(4):
        put(tmp_path / "rawdata" / f"sub-{number}" / f"sub-{number}_ct.nii.gz", image(number))
        put(tmp_path / "derivatives" / f"sub-{number}" / f"sub-{number}_seg-vert_msk.nii.gz", LABEL)
    assert check(tmp_path).channel_names == ["ct"]


@taken(PLACE, "BIDS with labels among the derivatives", "taken, channels by suffix")
def _(tmp_path):
    for number in range(4):
        for channel, name in enumerate(("FLAIR", "T1w")):
            put(tmp_path / f"sub-{number}" / "anat" / f"sub-{number}_{name}.nii.gz", image(number, channel))
        folder = tmp_path / "derivatives" / "manual" / f"sub-{number}" / "anat"
        put(folder / f"sub-{number}_space-orig_dseg.nii.gz", LABEL)
    assert check(tmp_path, channels=2).channel_names == ["FLAIR", "T1w"]


@taken(
    PLACE, "a file a structure, case/ct with case/segmentations/liver ... (TotalSegmentator)", "put together by name"
)
def _(tmp_path):
    for number in range(4):
        put(tmp_path / f"s{number}" / "ct.nii.gz", image(number))
        for value, name in ((1, "spleen"), (2, "liver")):
            put(tmp_path / f"s{number}" / "segmentations" / f"{name}.nii.gz", (value == LABEL).astype(np.uint8))
    found = check(tmp_path)
    assert found.label_names == {1: "liver", 2: "spleen"}
    assert found.channel_names == ["ct"]
    label = read_label(found.cases[0], None, found.label_names)
    np.testing.assert_array_equal(label[0], np.array([0, 2, 1])[LABEL])
    train = bundle(tmp_path, tmp_path / "out")
    assert train["label_names"] == {"1": "liver", "2": "spleen"}
    written = nib.load(tmp_path / "out" / "bundle" / "data" / "labels" / "s0.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.array([0, 2, 1])[LABEL])


def two_structures(tmp_path):
    for number in range(4):
        put(tmp_path / f"s{number}" / "ct.nii.gz", image(number))
        for value, name in ((1, "spleen"), (2, "liver")):
            put(tmp_path / f"s{number}" / "segmentations" / f"{name}.nii.gz", (value == LABEL).astype(np.uint8))


@taken(PLACE, "one structure of several that have a file each, label_names '{1: spleen}'", "the others are background")
def _(tmp_path):
    two_structures(tmp_path)
    new_bundle(str(tmp_path), str(tmp_path.parent / "spleen"), label_names={1: "spleen"})
    written = nib.load(tmp_path.parent / "spleen" / "data" / "labels" / "s0.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), (LABEL == 1).astype(np.uint8))


@refused(PLACE, "a name of a structure that has no file", "such a file; there are liver, spleen")
def _(tmp_path):
    two_structures(tmp_path)
    new_bundle(str(tmp_path), str(tmp_path.parent / "out"), label_names={1: "Leber"})


@refused(PLACE, "label_values where each structure has a file", "choose among them with label_names")
def _(tmp_path):
    two_structures(tmp_path)
    new_bundle(str(tmp_path), str(tmp_path.parent / "out"), label_values="all")


@refused(PLACE, "structures of a file each that overlap", "overlaps another structure in 27 voxels")
def _(tmp_path):
    put(tmp_path / "s0" / "ct.nii.gz", image(0))
    for name in ("tumour", "whole"):
        put(tmp_path / "s0" / "segmentations" / f"{name}.nii.gz", (LABEL == 1).astype(np.uint8))
    all_lines(tmp_path)


@taken(PLACE, "a structure whose file is missing in one case", "absent from it, with a warning")
def _(tmp_path):
    for number in range(3):
        put(tmp_path / f"s{number}" / "ct.nii.gz", image(number))
        for value, name in ((1, "liver"), (2, "spleen"))[: 2 - (number == 0)]:
            put(tmp_path / f"s{number}" / "segmentations" / f"{name}.nii.gz", (value == LABEL).astype(np.uint8))
    found = check(tmp_path, cases=3)
    assert any("has no spleen" in finding.what for finding in found.findings)


@taken(PLACE, "imagesTr and labelsTr without dataset.json", "taken")
def _(tmp_path):
    check(make(tmp_path, ["imagesTr/{c}.nii.gz"], "labelsTr/{c}.nii.gz"))


@taken(PLACE, "nnU-Net's names without dataset.json, c0_0000 and c0", "channels of the case c0")
def _(tmp_path):
    folder = make(tmp_path, ["images/{c}_0000.nii.gz", "images/{c}_0001.nii.gz"], "labels/{c}.nii.gz")
    assert check(folder, channels=2).cases[0].name == "c0"
    check(folder, channels=2, images="images", labels="labels")


@refused(PLACE, "nnU-Net's names with a channel missing", "number them from _0000 without gaps")
def _(tmp_path):
    all_lines(make(tmp_path, ["images/{c}_0001.nii.gz"], "labels/{c}.nii.gz"), images="images", labels="labels")


def decathlon(folder, cases, images, label, **names):
    """A ``dataset.json`` of the Decathlon; names of images and of the label with {c} for the case."""
    entries = []
    for number, case in enumerate(cases):
        files = [name.format(c=case) for name in images]
        for channel, name in enumerate(files):
            put(folder / name, image(number, channel))
        put(folder / label.format(c=case), LABEL)
        entries.append({"image": files if len(files) > 1 else files[0], "label": label.format(c=case)})
    index = {"labels": {"0": "background", "1": "a", "2": "b"}, "modality": names, "training": entries}
    (folder / "dataset.json").write_text(json.dumps(index))


NUMBERED = [f"amos_{number:04d}" for number in range(1, 5)]


@taken(PLACE, "four digits that are no channel, amos_0001 and amos_0002", "a case each, in folds too")
def _(tmp_path):
    for number, images in enumerate((["ct/{c}.nii.gz"], ["ct/{c}.nii.gz", "pet/{c}.nii.gz"])):
        names = {str(channel): str(channel) for channel in range(len(images))}
        decathlon(tmp_path / f"d{number}", NUMBERED, images, "labelsTr/{c}.nii.gz", **names)
        bundle(tmp_path / f"d{number}", tmp_path / f"b{number}")
        cases = decathlon_split(tmp_path / f"b{number}" / "bundle" / "data", "all")
        assert [case["case"] for case in cases] == NUMBERED


@taken(PLACE, "the same in nnU-Net's names, amos_0001_0000 and amos_0001_0001", "two channels of amos_0001")
def _(tmp_path):
    index = {"channel_names": {"0": "CT", "1": "PET"}, "labels": {"background": 0, "a": 1, "b": 2}}
    decathlon(
        tmp_path, NUMBERED, [f"imagesTr/{{c}}_000{channel}.nii.gz" for channel in range(2)], "labelsTr/{c}.nii.gz"
    )
    (tmp_path / "dataset.json").write_text(json.dumps(index))
    bundle(tmp_path, tmp_path / "out")
    cases = decathlon_split(tmp_path / "out" / "bundle" / "data", "all")
    assert [case["case"] for case in cases] == NUMBERED
    assert [len(case["image"]) for case in cases] == [2] * 4


@taken(PLACE, "names in capitals, .NII.GZ, and pairs .hdr and .img", "taken")
def _(tmp_path):
    make(tmp_path, ["images/{c}.img"], "labels/{c}.nii.gz")
    for file in list((tmp_path / "labels").iterdir()):
        file.rename(file.with_name(file.name.upper().replace("C", "c", 1)))
    check(tmp_path)


def film(folder, frames=12):
    """Cases of several volumes on an axis of time, a second apart, as ITK writes channels and some scanners a film."""
    for number in range(4):
        volumes = np.stack([image(number, frame) for frame in range(frames)], -1)
        file = put(folder / "images" / f"c{number}.nii.gz", volumes)
        opened = nib.load(file)
        opened.header.set_xyzt_units("mm", "sec")
        nib.save(nib.Nifti1Image(volumes, np.eye(4), opened.header), file)
        put(folder / "labels" / f"c{number}.nii.gz", LABEL)
    return folder


@refused(PLACE, "a film of 12 frames, 1 s apart, where nothing names channels", "holds 12 volumes, 1 sec apart, by its")
def _(tmp_path):
    all_lines(film(tmp_path))


@taken(PLACE, "channels whose header says seconds, named by --modality T1,T2", "channels of these names")
def _(tmp_path):
    bundle(film(tmp_path / "data", 2), tmp_path, modality="T1,T2", images="images", labels="labels")
    report = json.loads((tmp_path / "bundle" / "docs" / "data_report.json").read_text())
    assert report["fingerprint"]["channel_names"] == ["T1", "T2"]


@taken(PLACE, "inference on case/ct of several folders: one name of file", "each case has the name of its folder")
def _(tmp_path):
    make(tmp_path, ["{c}/ct.nii.gz"], "{c}/segmentations/liver.nii.gz")
    cases = list_inference_cases(tmp_path)
    assert [listed_name(case) for case in cases] == ["c0", "c1", "c2", "c3"]
    image = LoadCased("image", ensure_channel_first=True)(cases[2])["image"]
    assert case_file(image, tmp_path / "out", "seg", ".nii.gz")[0].name == "c2_seg.nii.gz"
    assert named_by_case(image.meta, None)["subject"] == "c2.nii.gz"


@taken(PLACE, "training on case/ct of several folders", "each case has the name of its folder, in folds too")
def _(tmp_path):
    bundle(make(tmp_path / "data", ["{c}/ct.nii.gz"], "{c}/segmentations/liver.nii.gz"), tmp_path)
    cases = decathlon_split(tmp_path / "bundle" / "data", "all")
    assert [case["case"] for case in cases] == ["c0", "c1", "c2", "c3"]


@refused(
    PLACE, "two images whose results would have one name, a.nii.gz and a.mha", "are cases of one name, whose results"
)
def _(tmp_path):
    for name in ("a.nii.gz", "a.mha"):
        (tmp_path / name).touch()
    list_inference_cases(tmp_path)


@refused(PLACE, "inference on a folder whose dataset.json is cut short", "dataset.json is no JSON")
def _(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "dataset.json").write_text('{"test": [')
    list_inference_cases(tmp_path)


@taken(PLACE, "files that inference does not take, and folders of images beside images", "named once in the log")
def _(tmp_path):
    for name in ("a.nii.gz", "b.mgz", "c.png", "notes.txt", "deep/d.nii.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("dam_components.data.inference_cases")
    logger.addHandler(handler)
    try:
        assert list_inference_cases(tmp_path) == [{"image": str(tmp_path / "a.nii.gz")}]
    finally:
        logger.removeHandler(handler)
    told = ["2 files that are no images in {}: b.mgz, c.png", "1 folders of images beside the images in {}: deep"]
    assert lines == [f"left out {line.format(tmp_path)}" for line in told]


@taken(PLACE, "dataset.json with a byte order mark (Windows)", "read, in training too")
def _(tmp_path):
    make(tmp_path, ["imagesTr/{c}.nii.gz"], "labelsTr/{c}.nii.gz")
    entries = [{"image": f"imagesTr/c{n}.nii.gz", "label": f"labelsTr/c{n}.nii.gz"} for n in range(4)]
    index = {"labels": {"0": "background", "1": "a", "2": "b"}, "modality": {"0": "MR"}, "training": entries}
    (tmp_path / "dataset.json").write_text(json.dumps(index), encoding="utf-8-sig")
    check(tmp_path)
    from dam_components.data import decathlon_split

    assert len(decathlon_split(tmp_path, "all")) == 4


@taken(PLACE, "a trailing axis of length 1 in every file (IBSR18)", "taken")
def _(tmp_path):
    for number in range(4):
        put(tmp_path / f"c{number}.nii.gz", image(number)[..., None])
        put(tmp_path / f"c{number}_seg.nii.gz", LABEL[..., None])
    check(tmp_path)


@refused(PLACE, "a folder with no labelled case", "holds no labelled case in a known layout")
def _(tmp_path):
    put(tmp_path / "a" / "b" / "c.nii.gz", image(0))
    read_dataset(tmp_path)


@refused(PLACE, "labels without their images", "(4 files: ")
def _(tmp_path):
    make(tmp_path, [], "{c}_seg.nii.gz")
    all_lines(tmp_path)


@refused(
    PLACE,
    "the same fault in many files: one line, the number, the first three",
    " and 4 more): set spacing and direction",
)
def _(tmp_path):
    make(tmp_path, ["{c}.nii"], "{c}_seg.nii", cases=7)
    for file in tmp_path.glob("c?.nii"):
        raw = bytearray(file.read_bytes())
        raw[280:328] = bytes(48)
        file.write_bytes(raw)
    all_lines(tmp_path)


@refused(PLACE, "labels 0, 128, 255", "holds the labels 128, 255: number the classes 1..N without gaps, or say")
def _(tmp_path):
    all_lines(make(tmp_path, ["{c}.nii"], "{c}_seg.nii", labels=np.array([0, 128, 255], np.uint8)[LABEL]))


@taken(PLACE, "labels 0, 128, 255 with --label_values '{rim: 128, core: 255}'", "classes 1 and 2, label files written")
def _(tmp_path):
    make(tmp_path / "d", ["{c}.nii"], "{c}_seg.nii", labels=np.array([0, 128, 255], np.uint8)[LABEL])
    train = bundle(tmp_path / "d", tmp_path, label_values={"rim": 128, "core": 255})
    assert train["label_names"] == {"1": "rim", "2": "core"}
    written = nib.load(tmp_path / "bundle" / "data" / "labels" / "c1.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), LABEL)


@taken(PLACE, "several values of one structure, '{both: [128, 255]}'", "one class")
def _(tmp_path):
    make(tmp_path / "d", ["{c}.nii"], "{c}_seg.nii", labels=np.array([0, 128, 255], np.uint8)[LABEL])
    train = bundle(tmp_path / "d", tmp_path, label_values={"both": [128, 255]})
    assert train["label_names"] == {"1": "both"}
    written = nib.load(tmp_path / "bundle" / "data" / "labels" / "c1.nii.gz")
    np.testing.assert_array_equal(np.asarray(written.dataobj), LABEL > 0)


@taken(PLACE, "values 1..117 with gaps, --label_values all", "a class each, in their order")
def _(tmp_path):
    make(tmp_path / "d", ["{c}.nii"], "{c}_seg.nii", labels=np.array([0, 5, 117], np.uint8)[LABEL])
    train = bundle(tmp_path / "d", tmp_path, label_values="all")
    assert train["label_names"] == {"1": "label 5", "2": "label 117"}


@taken(PLACE, "0.9999999 in place of 1 (saved with a scale)", "1")
def _(tmp_path):
    found = check(make(tmp_path, ["{c}.nii"], "{c}_seg.nii", labels=LABEL * np.float32(0.9999999)))
    use_label_values(found, "all")
    assert found.label_values == {1: 1, 2: 2}


@refused(PLACE, "interpolated labels", "holds the label 0.5")
def _(tmp_path):
    all_lines(make(tmp_path, ["{c}.nii"], "{c}_seg.nii", labels=LABEL * np.float32(0.5)))


@refused(PLACE, "--label_values with a value for two classes", "gives the value 5 to both a and b")
def _(tmp_path):
    use_label_values(read_dataset(make(tmp_path, ["{c}.nii"], "{c}_seg.nii")), {"a": 5, "b": [5, 6]})


@refused(PLACE, "--label_values that names no values", "label_values must give each class its values")
def _(tmp_path):
    use_label_values(read_dataset(make(tmp_path, ["{c}.nii"], "{c}_seg.nii")), "liver")


@refused(PLACE, "a label of background alone in every case", "holds background alone")
def _(tmp_path):
    all_lines(make(tmp_path, ["{c}.nii"], "{c}_seg.nii", labels=LABEL * 0))


@refused(PLACE, "the same image under two names", "is the same image as")
def _(tmp_path):
    folder = make(tmp_path, ["{c}.nii"], "{c}_seg.nii")
    put(folder / "c3.nii", image(2))
    all_lines(folder)


@refused(PLACE, "a mirrored label header among the cases", "is mirrored along axis 0 against its image")
def _(tmp_path):
    folder = make(tmp_path, ["{c}.nii"], "{c}_seg.nii")
    nib.save(nib.Nifti1Image(LABEL, np.diag([-1.0, 1, 1, 1])), folder / "c2_seg.nii")
    all_lines(folder)


for side in ("Left-Hippocampus", "hippocampus (left)", "LeftLung", "ctx-lh-insula", "kidney_l", "L kidney"):

    @taken(PLACE, f"a structure called {side}", "training does not flip left and right")
    def _(tmp_path, name=side):
        make(tmp_path / "d", ["{c}.nii"], "{c}_seg.nii")
        train = bundle(tmp_path / "d", tmp_path, label_names={1: name, 2: "other"})
        assert train["flip"] is False


@taken(
    PLACE, "images that are mostly blank", "cropped to the box of what is not 0, and normalised in it, as nnU-Net does"
)
def _(tmp_path):
    for number in range(4):
        inside = image(number) * (np.indices(LABEL.shape).min(0) > 1)
        put(tmp_path / "d" / f"c{number}.nii", inside.astype(np.float32))
        put(tmp_path / "d" / f"c{number}_seg.nii", LABEL)
    train = bundle(tmp_path / "d", tmp_path)
    assert train["crop_nonzero"] is True
    assert train["intensity"]["nonzero"] is True
