"""python -m deploy.examples.video_generator: what it needs to know comes from the environment."""

import os
from pathlib import Path

import uvicorn

from deploy.examples.video_generator.service import Settings, create_app


def main() -> None:
    """Serve until a signal comes."""
    settings = Settings(
        gateway=os.environ["VIDEO_GATEWAY"],
        api_key=os.environ["VIDEO_API_KEY"],
        spool=Path(os.environ.get("VIDEO_SPOOL", ".scrip/video-generator")),
        seconds_a_scene=float(os.environ.get("VIDEO_SECONDS_A_SCENE", "1")),
    )
    uvicorn.run(create_app(settings), port=int(os.environ.get("VIDEO_PORT", "8100")), log_level="warning")


if __name__ == "__main__":
    main()
