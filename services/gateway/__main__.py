from pathlib import Path

from libs.chassis.service import main
from services.gateway.app import compose
from services.gateway.settings import Settings

main("gateway", Settings, Path(__file__).parent, compose)
