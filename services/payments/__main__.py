from pathlib import Path

from libs.chassis.service import main
from services.payments.app import compose
from services.payments.settings import Settings

main("payments", Settings, Path(__file__).parent, compose)
