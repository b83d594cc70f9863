"""Admission of requests: what is counted, what is refused, and what draining waits for."""

import asyncio

import pytest

from rerank_plugins.errors import OverloadedError
from rerank_plugins.service.admission import Admission
from rerank_plugins.service.errors import DrainingError


async def test_requests_are_counted_while_they_are_answered() -> None:
    admission = Admission(max_queue=10)
    with admission.admit(3), admission.admit(4):
        assert admission.in_flight == 2
    assert admission.in_flight == 0


async def test_documents_of_all_requests_are_bounded() -> None:
    admission = Admission(max_queue=10)
    with admission.admit(8):
        with admission.admit(2):
            pass
        expected = pytest.raises(OverloadedError, match=r"8 documents are waiting .* 3 more would exceed max_queue=10")
        with expected, admission.admit(3):
            pass
        assert admission.in_flight == 1
    with admission.admit(10):
        pass


async def test_one_request_alone_may_exceed_the_bound() -> None:
    admission = Admission(max_queue=10)
    with admission.admit(11):
        assert admission.in_flight == 1


async def test_an_error_gives_the_place_back() -> None:
    admission = Admission(max_queue=1)
    with pytest.raises(RuntimeError, match="lost"), admission.admit(1):
        raise RuntimeError("lost")
    assert admission.in_flight == 0
    with admission.admit(1):
        pass


async def test_draining_refuses_new_requests_and_waits_for_accepted_ones() -> None:
    admission = Admission(max_queue=10)
    with admission.admit(1):
        draining = asyncio.create_task(admission.drain())
        await asyncio.sleep(0)
        assert admission.draining
        assert not draining.done()
        with pytest.raises(DrainingError, match="shutting down"), admission.admit(1):
            pass
    await draining


async def test_draining_an_idle_service_ends_immediately() -> None:
    admission = Admission(max_queue=10)
    await asyncio.wait_for(admission.drain(), 10)
    with pytest.raises(DrainingError, match="shutting down"), admission.admit(1):
        pass
