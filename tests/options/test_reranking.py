"""Configuration refuses wrong values with the value, what is allowed, and where it came from."""

from typing import Any

import pytest

from rerank_plugins import InvalidTypeError, InvalidValueError, RerankConfig


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (
            {"backend": "tensorflow"},
            InvalidValueError,
            "backend must be one of 'auto', 'onnx', 'torch', got 'tensorflow'",
        ),
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


def test_the_token_is_not_shown() -> None:
    assert "hf_secret" not in repr(RerankConfig(token="hf_secret"))


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
            "OTHER": "x",
        }
        assert RerankConfig.from_env(environ, max_length=256, backend=None) == RerankConfig(
            model="BAAI/bge-reranker-v2-m3", max_length=256, local_files_only=True, dtype="fp16"
        )

    def test_the_process_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RERANK_MAX_BATCH_TOKENS", "4096")
        assert RerankConfig.from_env().max_batch_tokens == 4096

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("RERANK_MAX_LENGTH", "long", "RERANK_MAX_LENGTH must be an integer, got 'long'"),
            ("RERANK_LOCAL_FILES_ONLY", "maybe", "RERANK_LOCAL_FILES_ONLY must be true or false, got 'maybe'"),
            ("RERANK_BACKEND", "jax", "backend must be one of 'auto', 'onnx', 'torch', got 'jax'"),
        ],
    )
    def test_what_cannot_be_read(self, name: str, value: str, message: str) -> None:
        with pytest.raises(InvalidValueError, match=message):
            RerankConfig.from_env({name: value})
