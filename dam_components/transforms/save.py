"""Writing NIfTI files that are whole or not there, on their image's axes, under their case's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from monai.data import NibabelWriter

from dam_components.atomic_files import whole_file
from dam_components.data.dataset_layouts import name_from_meta

# 1/255 in float32, rounded down: rounded as usual it is a little larger, and 255 of it are above 1
STEP = float(np.nextafter(np.float32(1 / 255), 0, dtype=np.float32))

__all__ = ["FractionWriter", "WholeFileWriter", "named_by_case"]


def named_by_case(meta: Mapping[str, Any], saver: Any) -> dict[str, Any]:
    """The ``output_name_formatter`` of ``SaveImaged`` that gives every output of a case its one name.

    Example:
        >>> named_by_case({"filename_or_obj": "a/c0_0000.NII.GZ"}, None)
        {'subject': 'c0.nii.gz', 'idx': None}
        >>> named_by_case({"filename_or_obj": "a/ct.nii.gz", "case": "a"}, None)
        {'subject': 'a.nii.gz', 'idx': None}
    """
    return {"subject": f"{name_from_meta(meta)}.nii.gz", "idx": None}


class WholeFileWriter(NibabelWriter):
    """MONAI's NIfTI writer for ``SaveImaged(writer=...)``: writes to a temporary name, then renames.

    A volume of a single slice keeps its third axis, and the file says millimetres.
    """

    def set_data_array(
        self, data_array: Any, channel_dim: int | None = 0, squeeze_end_dims: bool = False, **kwargs: Any
    ) -> None:
        """The channel goes last, and goes away where there is one."""
        super().set_data_array(data_array, channel_dim, squeeze_end_dims=False, **kwargs)
        if self.data_obj is not None and self.data_obj.shape[-1] == 1:
            self.data_obj = self.data_obj[..., 0]

    @classmethod
    def create_backend_obj(cls, *args: Any, **kwargs: Any) -> Any:
        """The NIfTI image, with its unit."""
        image = super().create_backend_obj(*args, **kwargs)
        image.header.set_xyzt_units("mm")
        return image

    def write(self, filename: Any, verbose: bool = True, **kwargs: Any) -> None:
        """Writes the volume under a temporary name and renames it."""
        with whole_file(filename) as temporary:  # same ending, which decides the compression
            super().write(temporary, verbose=False, **kwargs)


class FractionWriter(WholeFileWriter):
    """Writes bytes 0..255 that mean 0..1: the header's ``scl_slope`` is 1/255, which every reader of NIfTI applies."""

    @classmethod
    def create_backend_obj(cls, data_array: Any, affine: Any = None, dtype: Any = None, **kwargs: Any) -> Any:
        """The image that is written."""
        image = super().create_backend_obj(data_array, affine=affine, dtype="uint8", **kwargs)
        image.header.set_slope_inter(STEP, 0)
        return image
