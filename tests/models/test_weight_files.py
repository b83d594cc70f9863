"""What weights name beside themselves: it is found wherever it is, and stays in the folder."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from rerank_plugins import RerankConfig, Reranker, UnsupportedModelError
from rerank_plugins.models import external_data
from rerank_plugins.models.external_data import external_locations
from rerank_plugins.models.spec import resolve
from tests.models.folders import sharded, with_external_data
from tests.models.test_source import copy_of
from tests.texts import DOCUMENTS, QUERY


def external(name: str, location: str) -> TensorProto:
    """A tensor in another file."""
    tensor = helper.make_tensor(name, TensorProto.FLOAT, [1], [0.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=location)
    return tensor


def graph(*tensors: TensorProto, nodes: tuple[onnx.NodeProto, ...] = ()) -> onnx.GraphProto:
    return helper.make_graph(nodes, "graph", [], [], initializer=tensors)


def saved(file: Path, model: onnx.ModelProto) -> Path:
    file.write_bytes(model.SerializeToString())
    return file


def assert_alike(one: Reranker, other: Reranker) -> None:
    found, expected = ([each.raw_score for each in reranker.rank(QUERY, DOCUMENTS)] for reranker in (one, other))
    assert found == pytest.approx(expected, abs=1e-4)


class TestExternalData:
    """The locations that an ONNX file names, read without onnxruntime."""

    def test_the_field_numbers_are_those_of_onnx(self) -> None:
        """All ways to a tensor, from all messages that are on one."""
        on_the_way = {*external_data.PATHS, "TensorProto"}
        for message, fields in external_data.PATHS.items():
            theirs = {
                each.number: each.message_type.name
                for each in getattr(onnx, message).DESCRIPTOR.fields
                if each.message_type is not None and each.message_type.name in on_the_way
            }
            assert fields == theirs
        tensor, entry = TensorProto.DESCRIPTOR.fields_by_name, onnx.StringStringEntryProto.DESCRIPTOR.fields_by_name
        assert (tensor["external_data"].number, tensor["data_location"].number) == (13, 14)
        assert (external_data.EXTERNAL_DATA, external_data.DATA_LOCATION) == (13, 14)
        assert (entry["key"].number, entry["value"].number) == (external_data.KEY, external_data.VALUE)
        assert TensorProto.EXTERNAL == external_data.EXTERNAL

    def test_wherever_a_tensor_may_be(self, tmp_path: Path) -> None:
        names = iter(f"{letter}.bin" for letter in "abcdefghij")
        inner = graph(external("x", next(names)))
        sparse = onnx.SparseTensorProto(values=external("v", next(names)), indices=external("i", next(names)))
        node = onnx.NodeProto(op_type="Constant")
        node.attribute.add(name="t", t=external("t", next(names)))
        node.attribute.add(name="many", tensors=[external("m", next(names))])
        node.attribute.add(name="branch", g=inner)
        node.attribute.add(name="branches", graphs=[graph(external("g", next(names)))])
        node.attribute.add(name="sparse", sparse_tensor=sparse, sparse_tensors=[sparse])
        outer = graph(external("w", next(names)), nodes=(node,))
        outer.sparse_initializer.add(values=external("s", next(names)))
        model = helper.make_model(outer)
        model.functions.add(
            name="f", node=[onnx.NodeProto(attribute=[helper.make_attribute("a", external("f", next(names)))])]
        )
        model.training_info.add(algorithm=graph(external("l", next(names))))
        assert external_locations(saved(tmp_path / "m.onnx", model)) == [f"{letter}.bin" for letter in "abcdefghij"]

    def test_what_is_inside_names_nothing(self, model_folder: Callable[[str], Path], tmp_path: Path) -> None:
        assert external_locations(model_folder("bert-onnx") / "model.onnx") == []
        inline = external("x", "stale.bin")
        inline.data_location = TensorProto.DEFAULT
        assert external_locations(saved(tmp_path / "m.onnx", helper.make_model(graph(inline)))) == []
        (tmp_path / "empty.onnx").write_bytes(b"")
        assert external_locations(tmp_path / "empty.onnx") == []

    @given(cut=st.integers(1, 200), noise=st.binary(max_size=60), place=st.integers(0, 200))
    def test_a_damaged_file_is_refused_or_read(
        self, tmp_path_factory: pytest.TempPathFactory, cut: int, noise: bytes, place: int
    ) -> None:
        whole = helper.make_model(graph(external("x", "location.bin"))).SerializeToString()
        file = tmp_path_factory.getbasetemp() / "damaged.onnx"
        for contents in (whole[:-cut], whole[:place] + noise + whole[place:], b"location" + noise):
            file.write_bytes(contents)
            try:
                assert all(isinstance(name, str) for name in external_locations(file))
            except UnsupportedModelError as error:
                assert "is not a whole ONNX file" in str(error)  # noqa: PT017 - either is right

    def test_a_file_of_many_fields_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(external_data, "_MOST_FIELDS", 1000)
        model = helper.make_model(graph(*(external(str(number), "a.bin") for number in range(1000))))
        with pytest.raises(UnsupportedModelError, match="it has more than 1000 fields"):
            external_locations(saved(tmp_path / "m.onnx", model))

    def test_a_model_in_two_files_scores_as_in_one(self, model_folder: Callable[[str], Path], tmp_path: Path) -> None:
        folder = with_external_data(model_folder("bert-onnx"), tmp_path / "m", name="onnx/model.onnx")
        assert resolve(RerankConfig(model=str(folder))).folder.weights == ("onnx/model.onnx", "onnx/weights.bin")
        with Reranker(folder) as apart, Reranker(model_folder("bert-onnx")) as whole:
            assert_alike(apart, whole)


OUTSIDE = [
    "../outside.bin",
    "/etc/passwd",
    "a/../../outside.bin",
    "..",
    "C:\\weights.bin",
    "..\\outside.bin",
    "a\0b",
    "",
]


def test_a_name_that_no_file_has(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
    saved(folder / "model.onnx", helper.make_model(graph(external("x", "x" * 5000))))
    with pytest.raises(UnsupportedModelError, match=r"names the weights .xxx.*xxx., which has 5000 characters"):
        resolve(RerankConfig(model=str(folder)))


@pytest.mark.parametrize("name", OUTSIDE)
def test_external_data_stays_in_the_folder(model_folder: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    folder = copy_of(model_folder("bert-onnx"), tmp_path / "m")
    saved(folder / "model.onnx", helper.make_model(graph(external("x", name))))
    with pytest.raises(UnsupportedModelError, match="which leads out of the model's folder"):
        resolve(RerankConfig(model=str(folder)))


class TestShards:
    """The shards that an index names."""

    def test_shards_score_as_the_whole(self, model_folder: Callable[[str], Path], tmp_path: Path) -> None:
        folder = sharded(model_folder("bert"), tmp_path / "m", ("one.safetensors", "parts/two.safetensors"))
        spec = resolve(RerankConfig(model=str(folder)))
        assert spec.folder.weights == ("one.safetensors", "parts/two.safetensors")
        with Reranker(folder) as apart, Reranker(model_folder("bert")) as whole:
            assert_alike(apart, whole)

    @pytest.mark.parametrize("name", [f"{each}.safetensors" for each in OUTSIDE if each not in ("", "..")])
    def test_they_stay_in_the_folder(self, model_folder: Callable[[str], Path], tmp_path: Path, name: str) -> None:
        with pytest.raises(UnsupportedModelError, match="which leads out of the model's folder"):
            resolve(RerankConfig(model=str(self.naming(name, model_folder("bert"), tmp_path))))

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "safetensors", "model.safetensors.bin", ""])
    def test_they_are_safetensors(self, model_folder: Callable[[str], Path], tmp_path: Path, name: str) -> None:
        with pytest.raises(UnsupportedModelError, match=r"is not a \.safetensors file: other kinds, such as pickles"):
            resolve(RerankConfig(model=str(self.naming(name, model_folder("bert"), tmp_path))))

    @pytest.mark.parametrize("name", ["../outside.safetensors", "pytorch_model.bin"])
    def test_a_file_that_the_config_names_is_one_too(
        self, model_folder: Callable[[str], Path], tmp_path: Path, name: str
    ) -> None:
        folder = copy_of(model_folder("bert"), tmp_path / "m")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"transformers_weights": name}))
        with pytest.raises(UnsupportedModelError, match=r"config.json of .* names the weights"):
            resolve(RerankConfig(model=str(folder)))

    def test_an_index_beside_the_whole_is_not_read(self, model_folder: Callable[[str], Path], tmp_path: Path) -> None:
        folder = copy_of(model_folder("bert"), tmp_path / "m")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../b.bin"}}))
        assert resolve(RerankConfig(model=str(folder))).folder.weights == ("model.safetensors",)

    def naming(self, name: str, bert: Path, place: Path) -> Path:
        """A folder whose index names a file, which is there."""
        folder = sharded(bert, place / "m")
        for target in (place / "outside.safetensors", folder / "pytorch_model.bin", folder / "model.pt"):
            target.write_bytes(b"weights")
        index = {"metadata": {}, "weight_map": {"a": "one.safetensors", "b": name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        return folder
