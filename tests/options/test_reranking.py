"""Configuration refuses wrong values with the value, what is allowed, and where it came from."""

from pathlib import Path
from typing import Any

import pytest

from rerank_plugins import InvalidTypeError, InvalidValueError, RerankConfig


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"backend": 3}, InvalidTypeError, "backend must be the name of a backend or a Backend class, got 3"),
        ({"backend": " "}, InvalidValueError, "backend must not be empty. Leave it out"),
        ({"dtype": "float16"}, InvalidValueError, "dtype must be one of 'auto', 'fp32', 'fp16', 'bf16', got 'float16'"),
        ({"activation": "softmax"}, InvalidValueError, "activation must be one of None, 'sigmoid', 'identity'"),
        ({"max_length": 15}, InvalidValueError, "max_length must be at least 16, got 15"),
        ({"max_length": 512.0}, InvalidTypeError, "max_length must be an integer, got 512.0"),
        ({"max_length": True}, InvalidTypeError, "max_length must be an integer, got True"),
        ({"max_batch_tokens": 0}, InvalidValueError, "max_batch_tokens must be at least 1, got 0"),
        ({"local_files_only": 1}, InvalidTypeError, "local_files_only must be True or False, got 1"),
        ({"trust_remote_code": "yes"}, InvalidTypeError, "trust_remote_code must be True or False"),
        ({"model": ""}, InvalidValueError, "model must not be empty. Leave it out"),
        ({"model": 3}, InvalidTypeError, "model must be a string, got int"),
        ({"device": None}, InvalidTypeError, "device must be a string, got NoneType"),
        ({"model": b"folder"}, InvalidTypeError, "model must be a string, got bytes"),
        ({"max_queue": None}, InvalidTypeError, "max_queue must be an integer, got None"),
        ({"timeout": "1"}, InvalidTypeError, "timeout must be a number of seconds, got '1'"),
        ({"timeout": 0}, InvalidValueError, "timeout must be above 0 seconds, got 0. Leave it out for no limit"),
        ({"timeout": float("inf")}, InvalidValueError, "timeout must be above 0 seconds, got inf"),
        ({"fallback": "gpu"}, InvalidValueError, "fallback must be one of None, 'cpu', got 'gpu'"),
        ({"cache": 3}, InvalidTypeError, "cache must be 'memory', a Redis URL or a ScoreCache, got int"),
        ({"cache": "disk"}, InvalidValueError, r"cache must be 'memory' or a Redis URL \(redis://.*\), got 'disk'"),
        ({"instruction": 3}, InvalidTypeError, "instruction must be a string, got int 3"),
        ({"instruction": " "}, InvalidValueError, "instruction is empty or blank, got ' '. Leave it out"),
        ({"devise": "cpu"}, InvalidTypeError, "RerankConfig has no option 'devise'. Did you mean 'device'?"),
        ({"top_n": 3}, InvalidTypeError, "RerankConfig has no option 'top_n'. Its options are: model, revision, "),
    ],
)
def test_wrong_values(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        RerankConfig(**options)


def test_it_is_frozen_and_comparable() -> None:
    config = RerankConfig(max_length=64)
    assert config == RerankConfig(max_length=64)
    assert hash(config) == hash(RerankConfig(max_length=64))
    with pytest.raises(AttributeError, match="cannot assign to field 'max_length'"):
        config.max_length = 128  # type: ignore[misc]


def test_paths_are_kept_as_strings() -> None:
    config = RerankConfig(Path("models") / "mine", cache_folder=Path("cache"))
    assert (config.model, config.cache_folder) == (str(Path("models") / "mine"), "cache")


def test_secrets_are_not_shown() -> None:
    assert "secret" not in repr(RerankConfig(token="hf_secret", cache="redis://:secret@host"))
    with pytest.raises(InvalidValueError, match="cache must be") as caught:
        RerankConfig(cache="http://:secret@host")
    assert "secret" not in str(caught.value)


class TestEnvironment:
    """A field is a variable too, and what is given by name wins."""

    def test_every_kind_of_field(self) -> None:
        environ = {
            "RERANK_MODEL": "BAAI/bge-reranker-v2-m3",
            "RERANK_MAX_LENGTH": "128",
            "RERANK_LOCAL_FILES_ONLY": "True",
            "RERANK_TRUST_REMOTE_CODE": "off",
            "RERANK_DTYPE": "fp16",
            "RERANK_DEVICE": "",
            "RERANK_INSTRUCTION": "Find passages, and code.",
            "OTHER": "x",
        }
        assert RerankConfig.from_env(environ, max_length=256, backend=None) == RerankConfig(
            model="BAAI/bge-reranker-v2-m3",
            instruction="Find passages, and code.",
            max_length=256,
            local_files_only=True,
            dtype="fp16",
        )

    def test_the_process_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RERANK_MAX_BATCH_TOKENS", "4096")
        assert RerankConfig.from_env().max_batch_tokens == 4096

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("RERANK_MAX_LENGTH", "long", "RERANK_MAX_LENGTH must be an integer, got 'long'"),
            ("RERANK_LOCAL_FILES_ONLY", "maybe", "RERANK_LOCAL_FILES_ONLY must be true or false, got 'maybe'"),
            ("RERANK_DTYPE", "int4", "RERANK_DTYPE must be one of 'auto', 'fp32', 'fp16', 'bf16', got 'int4'"),
            ("RERANK_MAX_LENGTH", "8", "RERANK_MAX_LENGTH must be at least 16, got 8"),
            ("RERANK_TIMEOUT", "soon", "RERANK_TIMEOUT must be a number, got 'soon'"),
            ("RERANK_DEVICE", " ", "RERANK_DEVICE must not be empty"),
            ("RERANK_INSTRUCTION", " ", "RERANK_INSTRUCTION is empty or blank, got ' '"),
        ],
    )
    def test_what_cannot_be_read(self, name: str, value: str, message: str) -> None:
        with pytest.raises(InvalidValueError, match=message):
            RerankConfig.from_env({name: value})
