"""Run the recipe: python -m training --data FOLDER."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from platformdirs import user_cache_path

from training.recipe import Recipe
from training.settings import FILE, read_settings

_WORK = user_cache_path("rerank-plugins") / "training"


class Device(StrEnum):
    """Where the forward and backward passes run."""

    CPU = "cpu"
    CUDA = "cuda"


def main(
    data: Annotated[Path, typer.Option(help="Folder with train/pairs_en.jsonl.gz and the collections in eval/.")],
    work: Annotated[Path, typer.Option(help="Folder for results and checkpoints.")] = _WORK,
    settings: Annotated[Path, typer.Option(help="TOML file with all training settings.")] = FILE,
    device: Annotated[Device, typer.Option(help="Device to train on.")] = Device.CPU,
) -> None:
    """Train the embedded model, resuming where an earlier run stopped."""
    recipe = Recipe(read_settings(settings), data, work, device=device.value)
    model = recipe.calibrated(recipe.train())
    recipe.report("result", model)
    recipe.ship(model)


if __name__ == "__main__":
    typer.run(main)
