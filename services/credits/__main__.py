from pathlib import Path

from libs.chassis.service import main
from services.credits.app import compose
from services.credits.settings import Settings

main("credits", Settings, Path(__file__).parent, compose)
