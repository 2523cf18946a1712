"""Old names of the public parts work until 0.3.0, and say what they are called now."""

import importlib
import inspect
import pkgutil

import pytest

import dam_components
from dam_components.losses import ConfidenceLoss, DifficultyAwareHybridLoss
from dam_components.moved_names import moved_names


def old_names():
    """Each old name, and where the module that had it says that it is now."""
    modules = [name for _, name, _ in pkgutil.iter_modules(dam_components.__path__, "dam_components.")]
    for module in (importlib.import_module(name) for name in modules if not name.endswith("__main__")):
        if (find := vars(module).get("__getattr__")) is not None:
            for name, place in inspect.getclosurevars(find).nonlocals["places"].items():
                yield pytest.param(module, name, place, id=f"{module.__name__}.{name}")


@pytest.mark.parametrize(("module", "name", "place"), [*old_names()])
def test_an_old_name_is_the_new_one(module, name, place):
    if name in ("Atlases", "MultiAtlasFusion", "Registration"):
        pytest.importorskip("SimpleITK")
    new_module, _, new_name = place.partition(":")
    with pytest.warns(DeprecationWarning, match=f"{module.__name__}.{name} is {new_module}"):
        found = getattr(module, name)
    assert found is getattr(importlib.import_module(new_module), new_name or name)


def test_names_that_never_were_are_no_attributes():
    with pytest.raises(AttributeError, match="module 'here' has no attribute 'Never'"):
        moved_names("here", {"Once": "there"})("Never")


@pytest.mark.parametrize(
    ("make", "old", "new"),
    [
        (lambda **words: DifficultyAwareHybridLoss(num_classes=2, **words), "floor", "attention_floor"),
        (ConfidenceLoss, "judge_labels", "label_weight"),
    ],
)
def test_an_old_argument_is_the_new_one(make, old, new):
    with pytest.warns(FutureWarning, match=f"argument {old} is called {new} from 0.2.0 on"):
        assert getattr(make(**{old: 0.25}), new) == 0.25
