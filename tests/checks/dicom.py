"""DICOM series in, DICOM SEG and parametric map out."""

import numpy as np
import pydicom
import torch
from monai.data import MetaTensor
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dam_components.data import list_inference_cases
from dam_components.data.image_files import read_volume
from dam_components.transforms import LoadCased, SaveDicomd
from tests.checks.table import refused, taken

PLACE = "DICOM"
VOXELS = np.random.default_rng(0).integers(-100, 200, (10, 12, 6)).astype(np.int16)  # columns, rows, slices


def write_series(folder, voxels=VOXELS, uid="1.2.3", step=3.0, pixel=(0.7, 0.8), **changes):
    """A CT series, its files in an order that is not that of space; changes are of one slice, by ``slice`` number."""
    folder.mkdir(parents=True, exist_ok=True)
    for place in range(voxels.shape[2]):
        slice_ = pydicom.Dataset()
        slice_.file_meta = FileMetaDataset()
        slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = CTImageStorage
        slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = f"{uid}.{place + 1}"
        slice_.SeriesInstanceUID, slice_.StudyInstanceUID, slice_.FrameOfReferenceUID = uid, "1.2", "1.2.9"
        slice_.PatientID, slice_.PatientName, slice_.PatientBirthDate, slice_.PatientSex = "p", "A^B", "", ""
        slice_.StudyDate, slice_.StudyTime, slice_.AccessionNumber, slice_.StudyID = "20200101", "101010", "", "1"
        slice_.ReferringPhysicianName, slice_.PositionReferenceIndicator = "", ""
        slice_.Modality, slice_.SeriesNumber, slice_.InstanceNumber = "CT", 1, place + 1
        slice_.Manufacturer, slice_.ImageType = "x", ["ORIGINAL", "PRIMARY", "AXIAL"]
        slice_.Rows, slice_.Columns = voxels.shape[1], voxels.shape[0]
        slice_.PixelSpacing, slice_.SliceThickness = list(pixel), step
        slice_.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        slice_.ImagePositionPatient = [-30, -40, 5 + step * place]
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
        slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit, slice_.PixelRepresentation = 16, 16, 15, 1
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, 0
        slice_.PixelData = np.ascontiguousarray(voxels[:, :, place].T).tobytes()
        if changes.get("slice") == place:
            for name, value in changes.items():
                if name != "slice":
                    setattr(slice_, name, value)
        slice_.save_as(folder / f"{(place * 5) % 7 + place // 7 * 7}{uid}.dcm", enforce_file_format=True)
    return folder


@taken(PLACE, "a series whose files are in another order than its slices", "a volume in the order of space")
def _(tmp_path):
    volume = read_volume(write_series(tmp_path / "series"))
    np.testing.assert_array_equal(volume[0], VOXELS)
    np.testing.assert_allclose(volume.pixdim, (0.8, 0.7, 3.0))
    np.testing.assert_allclose(np.asarray(volume.affine)[:3, 3], (30, 40, 5))


@taken(PLACE, "a text beside the slices", "left out")
def _(tmp_path):
    folder = write_series(tmp_path / "series")
    (folder / "README.txt").write_text("notes")
    assert read_volume(folder).shape == (1, *VOXELS.shape)


@refused(PLACE, "a slice is missing", "lacks slices: a step is 6 mm, the others 3")
def _(tmp_path):
    folder = write_series(tmp_path / "series")
    (folder / "31.2.3.dcm").unlink()  # the third
    read_volume(folder)


@refused(PLACE, "a slice twice", "holds 1 slices at the place of another")
def _(tmp_path):
    read_volume(write_series(tmp_path / "series", slice=2, ImagePositionPatient=[-30, -40, 8]))


@refused(PLACE, "two series in a folder", "holds 2 DICOM series")
def _(tmp_path):
    folder = write_series(tmp_path / "series")
    read_volume(write_series(folder, uid="1.2.4"))


@refused(PLACE, "a slice of another size (a localiser)", "holds slices of several heights")
def _(tmp_path):
    read_volume(write_series(tmp_path / "series", slice=1, Rows=6))


@refused(PLACE, "a slice with other pixels", "holds slices of several pixel sizes")
def _(tmp_path):
    read_volume(write_series(tmp_path / "series", slice=1, PixelSpacing=[0.5, 0.5]))


@refused(PLACE, "a slice of another direction", "holds slices of several directions")
def _(tmp_path):
    read_volume(write_series(tmp_path / "series", slice=1, ImageOrientationPatient=[1, 0, 0, 0, 0, -1]))


@refused(PLACE, "slices without a place", "does not say where it lies")
def _(tmp_path):
    read_volume(write_series(tmp_path / "series", slice=1, ImagePositionPatient=None))


@refused(PLACE, "uneven steps", "has steps of 2.5 to 3.5 mm")
def _(tmp_path):
    read_volume(write_series(tmp_path / "series", slice=2, ImagePositionPatient=[-30, -40, 11.5]))


@refused(PLACE, "a tilted gantry", "are shifted against each other")
def _(tmp_path):
    read_volume(write_series(tmp_path / "series", slice=5, ImagePositionPatient=[-30, -35, 20]))


@refused(PLACE, "a slice cut short", "cannot be read")
def _(tmp_path):
    folder = write_series(tmp_path / "series")
    file = folder / "01.2.3.dcm"
    file.write_bytes(file.read_bytes()[:-40])
    LoadCased("image")({"image": str(folder)})


@refused(PLACE, "a folder without DICOM as a case", "holds no DICOM file")
def _(tmp_path):
    (tmp_path / "empty").mkdir()
    read_volume(tmp_path / "empty")


@taken(PLACE, "inference on one series, on a folder of series, on one file", "listed as cases")
def _(tmp_path):
    first = write_series(tmp_path / "all" / "1.2.840.1")
    second = write_series(tmp_path / "all" / "1.2.840.2", uid="1.2.5")
    assert list_inference_cases(first) == [{"image": str(first)}]
    assert list_inference_cases(tmp_path / "all") == [{"image": str(first)}, {"image": str(second)}]
    (tmp_path / "a.nii.gz").touch()
    for name in ("e_ct.nii.gz", "e_seg.nii.gz"):  # CT_example's names
        (tmp_path / "flat").mkdir(exist_ok=True)
        (tmp_path / "flat" / name).touch()
    assert list_inference_cases(tmp_path / "flat") == [{"image": str(tmp_path / "flat" / "e_ct.nii.gz")}]
    assert list_inference_cases(tmp_path / "a.nii.gz") == [{"image": str(tmp_path / "a.nii.gz")}]


@refused(PLACE, "one slice as the input of inference", "for DICOM name the folder of the series")
def _(tmp_path):
    list_inference_cases(write_series(tmp_path / "series") / "01.2.3.dcm")


def outputs(tmp_path):
    """What SaveDicomd writes for a series: the three files, the classes and the map."""
    folder = write_series(tmp_path / "series")
    image = LoadCased("image", ensure_channel_first=True)({"image": str(folder)})["image"]
    classes = torch.from_numpy(np.random.default_rng(1).integers(0, 3, (1, *VOXELS.shape))).float()
    confidence = torch.rand(1, *VOXELS.shape, generator=torch.Generator().manual_seed(0))
    data = {"image": image}
    for key, array in (("pred", classes), ("confidence", confidence)):
        data[key] = MetaTensor(array, affine=image.affine, meta=image.meta)
    SaveDicomd(["pred", "confidence"], {1: "liver", 2: "spleen"}, tmp_path / "out")(data)
    written = [tmp_path / "out" / "series" / f"series_{name}.dcm" for name in ("seg", "confidence", "doubt")]
    return folder, written, classes, confidence


@taken(PLACE, "a segmentation of a series", "DICOM SEG: same grid and voxels, segments by name, refers to the slices")
def _(tmp_path):
    import highdicom

    folder, (file, _, _), classes, _ = outputs(tmp_path)
    found = highdicom.seg.segread(file)
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == ["liver", "spleen"]
    volume = found.get_volume(combine_segments=True)
    image = read_volume(folder)
    lps = np.diag([-1.0, -1, 1, 1]) @ np.asarray(image.affine)
    # highdicom counts slices from the head, rows, columns: where does the image have each of its voxels?
    places = np.stack([*np.indices(volume.array.shape), np.ones(volume.array.shape)], -1) @ volume.affine.T
    voxels = places @ np.linalg.inv(lps).T
    np.testing.assert_allclose(voxels, voxels.round(), atol=1e-6)
    i, j, k, _ = voxels.round().astype(int).reshape(-1, 4).T
    assert len({*zip(i, j, k, strict=True)}) == classes.numel()
    np.testing.assert_array_equal(volume.array.ravel(), classes[0][i, j, k])
    assert (found.FrameOfReferenceUID, found.StudyInstanceUID) == ("1.2.9", "1.2")
    referenced = {
        item.ReferencedSOPInstanceUID for item in found.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert referenced == {f"1.2.3.{number}" for number in range(1, 7)}


@taken(PLACE, "a confidence map of a series", "parametric map: same grid, same values")
def _(tmp_path):
    _, (_, file, _), _, confidence = outputs(tmp_path)
    found = pydicom.dcmread(file)
    frames = np.frombuffer(found.FloatPixelData, np.float32).reshape(6, 12, 10)
    groups = found.PerFrameFunctionalGroupsSequence
    heights = [float(frame.PlanePositionSequence[0].ImagePositionPatient[2]) for frame in groups]
    assert sorted(heights) == [5, 8, 11, 14, 17, 20]
    for frame, height in zip(frames, heights, strict=True):
        np.testing.assert_array_equal(frame.T, confidence[0, :, :, round((height - 5) / 3)])


@taken(PLACE, "doubt of a series", "DICOM SEG of the voxels with M below 0.5, for viewers without parametric maps")
def _(tmp_path):
    import highdicom

    _, (_, _, file), _, confidence = outputs(tmp_path)
    found = highdicom.seg.segread(file)
    assert [segment.SegmentLabel for segment in found.SegmentSequence] == ["doubt above 0.5"]
    volume = found.get_volume(combine_segments=True)
    heights = volume.affine[2, 3] + volume.affine[2, 0] * np.arange(6)
    for frame, height in zip(volume.array, heights, strict=True):
        np.testing.assert_array_equal(frame.T, confidence[0, :, :, round((height - 5) / 3)] < 0.5)


@taken(PLACE, "a series whose slices lie beside the segmentation's grid", "no DICOM is written, the case goes on")
def _(tmp_path):
    folder = write_series(tmp_path / "series")
    image = LoadCased("image", ensure_channel_first=True)({"image": str(folder)})["image"]
    beside = image.clone()
    beside.affine = image.affine + np.array([[0, 0, 0, 0.03]] * 3 + [[0, 0, 0, 0]])
    data = SaveDicomd(["pred", "confidence"], {1: "a"}, tmp_path / "out")(
        {"image": image, "pred": beside, "confidence": beside}
    )
    assert set(data) == {"image", "pred", "confidence"}
    assert not list((tmp_path / "out").rglob("*.dcm"))


@refused(PLACE, "a threshold of doubt that is no probability", "doubt_above must be in 0..1, got 50")
def _(tmp_path):
    SaveDicomd(["pred", "confidence"], {1: "a"}, tmp_path, doubt_above=50)


@taken(PLACE, "a case that is no series", "no DICOM is written")
def _(tmp_path):
    image = MetaTensor(torch.zeros(1, 4, 4, 4), meta={"filename_or_obj": "a.nii.gz"})
    SaveDicomd(["pred", "confidence"], {1: "a"}, tmp_path)({"image": image, "pred": image, "confidence": image})
    assert not list(tmp_path.iterdir())
