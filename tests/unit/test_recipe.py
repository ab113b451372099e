"""A recipe says what it means, or is refused with every mistake named."""

from pathlib import Path

import pytest

from hydroear.errors import ConfigError, UsageError
from hydroear_train.recipe import Recipe, load_recipe


def recipe(folder: Path, text: str) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(text)
    return file


def test_a_file_names_what_differs_from_the_defaults(tmp_path: Path) -> None:
    loaded = load_recipe(recipe(tmp_path, "pretext: {condition: 0.1, margin: adacos}\nseed: 3\n"), seed=4)
    assert (loaded.pretext.condition, loaded.pretext.margin, loaded.seed) == (0.1, "adacos", 4)
    assert loaded.pretext.leak == Recipe().pretext.leak
    assert loaded.extractor == Recipe().extractor
    assert load_recipe(None) == Recipe()


def test_what_a_bundle_keeps_of_a_recipe_is_that_recipe() -> None:
    original = Recipe(front_end={"n_mels": 32}, pretext={"mixup": 0.2, "condition_columns": ("site",)}, seed=7)
    assert Recipe.model_validate(original.to_dict()).to_dict() == original.to_dict()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pretext: {leak: 0}", "pretext: .*every weight is 0"),
        ("pretext: {leak: 0, generator: 1, supervised: true}", "pretext: .*supervised: leak has weight 0"),
        ("pretext: {margin: cosface}", r"pretext\.margin: .*'arcface' or 'adacos'"),
        ("pretext: {condition: -1}", r"pretext\.condition: "),
        ("leaks: {jet: 0, band: 0, colour: 0}", "leaks: every weight is 0"),
        ("leaks: {snr_db: [3, -3]}", "leaks.snr_db 3 to -3 is no range"),
        ("front_end: {n_mells: 3}", "front_end: .*n_mells"),
        ("extractor: {stepps: 3}", r"extractor\.stepps: "),
    ],
)
def test_a_wrong_value_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"recipe\.yaml: {message}" if "leaks" not in text else message):
        load_recipe(recipe(tmp_path, text))


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe(recipe(tmp_path, "pretext: {mixup: -1}\nextractor: {steps: 0}\nseed: one\n"))
    assert len(caught.value.problems) == 3


def test_what_is_no_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.yaml: cannot be read"):
        load_recipe(tmp_path / "gone.yaml")
    with pytest.raises(UsageError, match="no mapping"):
        load_recipe(recipe(tmp_path, "- a list\n"))


def test_simulated_sites_are_added_only_where_a_recipe_names_none(tmp_path: Path) -> None:
    assert load_recipe(None).with_simulated_sites(16).normals.simulated_sites == 16
    own = load_recipe(recipe(tmp_path, "normals: {simulated_sites: 3}"))
    assert own.with_simulated_sites(16) == own
