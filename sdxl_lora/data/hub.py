"""A data set of the Hugging Face hub, memory-mapped by the `datasets` library; pictures stay encoded.

Needs the network on first use only. Knows the licence of the original project's data set even where its
files do not say it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from sdxl_lora.data.parquet import picture_bytes
from sdxl_lora.errors import DataError

# hub id -> licence, from the data sets' cards
KNOWN_LICENCES = {"hahminlew/kream-product-blip-captions": "CC-BY-NC-SA-4.0"}


class HubTable:
    """The `train` split (or the only one) of a hub data set."""

    def __init__(
        self, dataset: Any, licence: str | None, other_splits: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """`other_splits`: name -> rows of the splits that are not read."""
        self._dataset, self.other_splits = dataset, other_splits
        self.columns: list[str] = list(dataset.column_names)
        self.licence = licence

    def __len__(self) -> int:
        return len(self._dataset)

    def column(self, name: str) -> list[Any]:
        """All values of a small column."""
        return list(self._dataset.select_columns([name])[name])

    def reader(self, name: str) -> Callable[[int], bytes]:
        """A function from row number to the encoded picture in column `name`."""
        from datasets import Image

        pictures = self._dataset.select_columns([name])
        if isinstance(pictures.features[name], Image):
            pictures = pictures.cast_column(name, Image(decode=False))
        return lambda index: picture_bytes(pictures[index][name], f"row {index}")


def load(name: str, config_name: str | None, cache_dir: str | None) -> HubTable:
    """Opens a hub data set. Raises `DataError` with what to do when it is unknown or the hub is out of
    reach.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    try:
        splits = load_dataset(name, config_name, cache_dir=cache_dir)
    except DatasetNotFoundError:
        raise DataError(
            f"no folder, file or hub data set named {name!r}; check the spelling, or log in"
        ) from None
    except (OSError, ValueError) as error:  # connection errors derive from OSError
        reason = str(error).splitlines()[0]
        raise DataError(
            f"the data set {name!r} could not be fetched from the hub ({reason}); give a folder"
        ) from None
    dataset = splits["train"] if "train" in splits else next(iter(splits.values()))
    others = (
        {}
        if "train" not in splits
        else {split: len(rows) for split, rows in splits.items() if split != "train"}
    )
    return HubTable(dataset, dataset.info.license or KNOWN_LICENCES.get(name), others)
