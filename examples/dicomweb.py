"""A series from a DICOMweb server through a bundle; segmentation, map and doubt go back to the same study.

python examples/dicomweb.py http://127.0.0.1:8042/dicom-web SERIES_UID
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import pydicom
from dicomweb_client import DICOMwebClient

from dam_components.front import run_command

__all__ = ["segment_series"]

BUNDLE = Path(__file__).parents[1] / "bundle"


def segment_series(server: str, series: str, bundle: str = str(BUNDLE), output_dir: str | None = None) -> None:
    """Fetches a series, segments it, and stores segmentation, map and doubt in the same study.

    A user name and a password for the server are read from ``~/.netrc``.

    Args:
        server: address of the DICOMweb service.
        series: SeriesInstanceUID.
        bundle: folder of the model.
        output_dir: where inference writes its files; by default they are removed once they are stored.
    """
    client = DICOMwebClient(server)
    found = client.search_for_series(search_filters={"SeriesInstanceUID": series})
    if not found:
        sys.exit(f"error: {server} has no series {series}")
    study = pydicom.Dataset.from_json(found[0]).StudyInstanceUID
    with tempfile.TemporaryDirectory() as scratch:
        slices, output = Path(scratch, series), Path(output_dir or Path(scratch, "output"))
        slices.mkdir()
        for number, slice_ in enumerate(client.retrieve_series(study, series)):
            slice_.save_as(slices / f"{number:05d}.dcm")
        command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", f"{bundle}/configs/inference.json"]
        subprocess.run([*command, "--dataset_dir", str(slices), "--output_dir", str(output.absolute())], check=True)
        results = sorted((output / series).glob("*.dcm"))
        if not results:
            sys.exit(f"error: series {series} was segmented, but no DICOM was written: the lines above say why")
        client.store_instances([pydicom.dcmread(file) for file in results], study_instance_uid=study)
    print(*(f"stored {file.name}" for file in results), sep="\n")


if __name__ == "__main__":
    run_command("__main__:segment_series", "python examples/dicomweb.py")
