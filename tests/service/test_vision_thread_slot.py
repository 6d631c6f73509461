import threading

from appliance.service.vision_thread import Slot


def test_the_newest_value_wins_and_nothing_queues() -> None:
    slot: Slot[int] = Slot()
    assert slot.newest(0.0) is None
    for i in range(5):
        slot.put(i)
    assert slot.newest(1.0) == 4
    assert slot.newest(0.0) == 4


def test_a_reader_is_woken_by_a_new_value() -> None:
    slot: Slot[str] = Slot()
    writer = threading.Timer(0.05, slot.put, ["seen"])
    writer.start()
    assert slot.newest(10.0) == "seen"
    writer.join()
