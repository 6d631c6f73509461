"""MediaPipe's own face detection behind a pipe; runs in the peer's venv, without this package.

A request is a line of JSON, {"model", "threshold", "count", "shape"}, and the pixels of one picture;
the answer a line with the seconds each of `count` runs took, CPU or elapsed time, whichever is less, and the
faces of the last.
"""

import json
import sys
import time
from typing import Any

import numpy as np
from mediapipe.python.solutions.face_detection import FaceDetection


def main() -> None:
    """Answer requests until the pipe closes."""
    print(json.dumps("ready"), flush=True)
    detectors: dict[tuple[int, float], Any] = {}
    for line in sys.stdin.buffer:
        ask = json.loads(line)
        height, width, channels = ask["shape"]
        pixels = np.frombuffer(sys.stdin.buffer.read(height * width * channels), np.uint8)
        pixels = pixels.reshape(height, width, channels)
        key = (ask["model"], ask["threshold"])
        if key not in detectors:
            detectors[key] = FaceDetection(model_selection=key[0], min_detection_confidence=key[1])
        seconds = []
        for _ in range(ask["count"]):
            start, began = time.perf_counter(), time.process_time()
            found = detectors[key].process(pixels)
            # Its threads may work at once, or a busy machine may keep them waiting: the less is fair.
            seconds.append(min(time.perf_counter() - start, time.process_time() - began))
        faces = [_face(row, width, height) for row in found.detections or []]
        print(json.dumps({"seconds": seconds, "faces": faces}), flush=True)


def _face(row: Any, width: int, height: int) -> dict[str, Any]:
    box = row.location_data.relative_bounding_box
    points = row.location_data.relative_keypoints
    return {
        "score": row.score[0],
        "box": [
            box.xmin * width,
            box.ymin * height,
            (box.xmin + box.width) * width,
            (box.ymin + box.height) * height,
        ],
        "points": [[point.x * width, point.y * height] for point in points],
    }


if __name__ == "__main__":
    main()
