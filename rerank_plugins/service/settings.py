"""What the service is told: one frozen value, each field a flag and a `RERANK_*` variable too."""

import ipaddress
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rerank_plugins.errors import InvalidValueError


def _split(value: object) -> object:
    """Take a variable's words apart at its commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _check_keys(keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    for key in keys:
        secret = key.get_secret_value()
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ValueError("a key must be ASCII letters, digits and signs without spaces, as a header carries it")
    return keys


Keys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split), AfterValidator(_check_keys)]
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class ServiceSettings(BaseSettings):
    """How the service listens, whom it answers, and how much it takes.

    What the model needs is in `RerankConfig`; its `timeout` is this one, which counts the wait for the model too.
    """

    model_config = SettingsConfigDict(env_prefix="RERANK_", frozen=True, extra="ignore", env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8000, ge=0, le=65_535, description="The port; 0 for any free one.")
    api_keys: Keys = Field(
        default=(), description="Keys that callers send as 'Authorization: Bearer KEY'; needed beyond this machine."
    )
    timeout: float = Field(default=60.0, gt=0, allow_inf_nan=False, description="Seconds that a request may take.")
    max_documents: int = Field(default=1_000, ge=1, description="Documents a request may have.")
    max_characters: int = Field(default=200_000, ge=1, description="Characters that a text may have.")
    max_body_bytes: int = Field(default=16 * 2**20, ge=1, description="Bytes that a request's body may have.")
    cors_origins: Words = Field(default=(), description="Origins of pages that may call it from a browser.")
    log_texts: bool = Field(default=False, description="Write questions and documents into the log.")

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Read `RERANK_*` variables; what is given by name, and is not None, wins over them.

        Raises:
            InvalidValueError: If a value is wrong; the message leaves values out, since one of them may be a key.

        Examples:
            >>> ServiceSettings.read(port=9000).port
            9000
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            wrong = "; ".join(
                ": ".join([*map(str, each["loc"]), each["msg"]])
                for each in error.errors(include_input=False, include_url=False, include_context=False)
            )
            raise InvalidValueError(f"The service's settings are wrong: {wrong}.") from None

    @model_validator(mode="after")
    def _check_open_door(self) -> Self:
        if not self.api_keys and not _is_loopback(self.host):
            raise ValueError(
                f"listening on {self.host} lets other machines in: set api_keys (--api-keys, RERANK_API_KEYS), or "
                "listen on 127.0.0.1"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
