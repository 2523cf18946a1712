"""examples/dicomweb.py on a real Orthanc (Debian's packages orthanc and orthanc-dicomweb), with the shipped bundle."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import highdicom
import nibabel as nib
import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client import DICOMwebClient

from tests.checks.dicom import write_series

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("DAM_DATA", ROOT.parent / "shared" / "data")) / "Task04_Hippocampus"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ORTHANC = shutil.which("Orthanc", path=f"{os.environ['PATH']}:/usr/sbin")
if ORTHANC is None or not PLUGIN.exists():
    pytest.skip("no Orthanc: apt-get install orthanc orthanc-dicomweb", allow_module_level=True)
if not DATA.is_dir():
    pytest.skip(f"no real cases in {DATA}: DAM_DATA names the folder of Task04_Hippocampus", allow_module_level=True)

CASE = json.loads((ROOT / "bundle/docs/cases.json").read_text())["train"][0]
STUDY, SERIES = "1.2", "1.2.3"  # of write_series
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("orthanc")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {"StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": port}
    settings |= {"DicomServerEnabled": False, "RemoteAccessAllowed": False, "Plugins": [str(PLUGIN)]}
    (folder / "orthanc.json").write_text(json.dumps({**settings, "DicomWeb": {"Root": "/dicom-web/"}}))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen([ORTHANC, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 30
        while True:
            try:
                requests.get(f"http://127.0.0.1:{port}/system", timeout=5).raise_for_status()
                break
            except requests.RequestException:
                assert time.monotonic() < end, (folder / "orthanc.log").read_text()
                time.sleep(0.1)
        yield DICOMwebClient(f"http://127.0.0.1:{port}/dicom-web")
    finally:
        process.terminate()
        process.wait()


def array_of(file):
    """Voxels with columns towards the patient's left and rows towards the back, as a series has them."""
    return np.asarray(nib.load(file).dataobj)[::-1, ::-1]


def segment(client, series, output):
    command = [sys.executable, "examples/dicomweb.py", client.base_url, series, "--output_dir", str(output)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )


@pytest.fixture(scope="module")
def output(client, tmp_path_factory):
    """A hippocampus case as a series on the server, segmented: the folder of what inference wrote."""
    folder = tmp_path_factory.mktemp("case")
    image = array_of(DATA / "imagesTr" / f"{CASE}.nii.gz").astype(np.int16)
    write_series(folder / "series", image, step=1.0, pixel=(1.0, 1.0))
    client.store_instances([pydicom.dcmread(file) for file in sorted((folder / "series").iterdir())])
    done = segment(client, SERIES, folder / "output")
    assert done.returncode == 0, done.stderr
    return folder / "output" / SERIES


def fetched(client, number, file):
    """The one instance of the series with this number, as the server gives it: all that inference wrote."""
    found = client.search_for_instances(STUDY, search_filters={"SeriesNumber": number})
    assert len(found) == 1
    header = pydicom.Dataset.from_json(found[0])
    instance = client.retrieve_instance(STUDY, header.SeriesInstanceUID, header.SOPInstanceUID)
    assert instance == pydicom.dcmread(file)
    return instance


def voxels_on(nifti, volume):
    """A volume's voxels in the places of a NIfTI file's: each must lie on exactly one of them."""
    places = np.stack([*np.indices(volume.array.shape), np.ones(volume.array.shape)], -1) @ volume.affine.T
    indices = places @ np.linalg.inv(TO_LPS @ nifti.affine).T
    np.testing.assert_allclose(indices, indices.round(), atol=1e-4)
    i, j, k, _ = indices.round().astype(int).reshape(-1, 4).T
    assert len({*zip(i, j, k, strict=True)}) == np.prod(nifti.shape) == volume.array.size
    array = np.zeros(nifti.shape, volume.array.dtype)
    array[i, j, k] = volume.array.ravel()
    return array


def test_the_segmentation_comes_back_on_the_series_grid(client, output):
    instance = fetched(client, 900, output / f"{SERIES}_seg.dcm")
    segmentation = highdicom.seg.Segmentation.from_dataset(instance)
    names = [segment.SegmentLabel for segment in segmentation.SegmentSequence]
    assert names == ["anterior hippocampus", "posterior hippocampus"]
    nifti = nib.load(output / f"{SERIES}_seg.nii.gz")
    back = voxels_on(nifti, segmentation.get_volume(combine_segments=True))
    np.testing.assert_array_equal(back, np.asarray(nifti.dataobj))
    assert instance.FrameOfReferenceUID == "1.2.9"
    series = instance.ReferencedSeriesSequence[0]
    assert series.SeriesInstanceUID == SERIES
    assert len(series.ReferencedInstanceSequence) == nifti.shape[2]
    # the expert's label was never near the server: the structures lie where the patient has them
    expert = array_of(DATA / "labelsTr" / f"{CASE}.nii.gz")
    dice = [2 * ((back == c) & (expert == c)).sum() / ((back == c).sum() + (expert == c).sum()) for c in (1, 2)]
    print(f"\nDice of {CASE} against the expert, fetched from Orthanc: {dice[0]:.3f}, {dice[1]:.3f}")
    assert min(dice) > 0.7


def test_the_map_comes_back_value_by_value(client, output):
    instance = fetched(client, 901, output / f"{SERIES}_confidence.dcm")
    nifti = nib.load(output / f"{SERIES}_confidence.nii.gz")
    back = voxels_on(nifti, highdicom.Image.from_dataset(instance).get_volume(dtype=np.float32))
    np.testing.assert_allclose(back, np.asarray(nifti.dataobj), atol=0.51 / 255)  # NIfTI has 8 bits


def test_doubt_comes_back_as_a_segment(client, output):
    instance = fetched(client, 902, output / f"{SERIES}_doubt.dcm")
    segmentation = highdicom.seg.Segmentation.from_dataset(instance)
    assert [segment.SegmentLabel for segment in segmentation.SegmentSequence] == ["doubt above 0.5"]
    nifti = nib.load(output / f"{SERIES}_confidence.nii.gz")
    back = voxels_on(nifti, segmentation.get_volume(combine_segments=True))
    np.testing.assert_array_equal(back, np.asarray(nifti.dataobj) < 0.5)
    assert back.sum() > 10


def test_a_series_that_is_not_there_is_one_line(client, tmp_path):
    done = segment(client, "1.2.99", tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: {client.base_url} has no series 1.2.99"
