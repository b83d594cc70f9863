"""The text of a document that is ranked, by a template over its metadata."""

from rerank_plugins.errors import InvalidValueError
from rerank_plugins.extras import extra

with extra("langchain", provides="langchain_core"):
    from langchain_core.documents import Document
    from langchain_core.prompts import PromptTemplate


def parse_template(text: str) -> PromptTemplate:
    """Read a template such as `{title}: {page_content}`.

    Raises:
        InvalidValueError: If it is no template, or has no field.
    """
    remedy = "Write it as '{title}: {page_content}'."
    try:
        template = PromptTemplate.from_template(text)
    except ValueError as error:
        raise InvalidValueError(f"document_text={text!r} is not a template: {error}. {remedy}") from error
    if not template.input_variables:
        raise InvalidValueError(f"document_text={text!r} has no field, so all texts would be the same. {remedy}")
    return template


def fill_template(template: PromptTemplate, document: Document, place: int) -> str:
    """Put a document's content and metadata into a template.

    Args:
        template: What `parse_template` returned.
        document: The document.
        place: Its place in the caller's list, for errors.

    Raises:
        InvalidValueError: If the document lacks metadata, or it does not fit.
    """
    values = {**document.metadata, "page_content": document.page_content}
    name = f"documents[{place}]" + (f" (id {document.id!r})" if document.id else "")
    if missing := [field for field in template.input_variables if field not in values]:
        raise InvalidValueError(
            f"{name} has no metadata {missing}, which document_text={template.template!r} needs; it has "
            f"{list(document.metadata)}. Add the metadata, or pass a function of the Document as document_text."
        )
    try:
        return template.format(**{field: values[field] for field in template.input_variables})
    except (ValueError, TypeError) as error:
        raise InvalidValueError(
            f"The metadata of {name} does not fit document_text={template.template!r}: {error}. Change the template, "
            "or pass a function of the Document as document_text."
        ) from error
