from pathlib import Path

from libs.chassis.service import main
from services.notifications.app import compose
from services.notifications.settings import Settings

main("notifications", Settings, Path(__file__).parent, compose)
