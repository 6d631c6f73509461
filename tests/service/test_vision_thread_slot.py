import threading

from appliance.service.vision_thread import LatestValue


def test_the_newest_value_wins_and_nothing_queues() -> None:
    latest = LatestValue(-1)
    assert latest.newest(0.0) == -1
    for i in range(5):
        latest.put(i)
    assert latest.value == latest.newest(1.0) == 4
    assert latest.newest(0.0) == 4


def test_a_reader_is_woken_by_a_new_value() -> None:
    latest = LatestValue("")
    writer = threading.Timer(0.05, latest.put, ["seen"])
    writer.start()
    assert latest.newest(10.0) == "seen"
    writer.join()
