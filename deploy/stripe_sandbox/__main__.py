"""Run the sandbox: python -m deploy.stripe_sandbox --port 12111 --webhook-url URL --webhook-secret whsec_..."""

from deploy.stripe_sandbox.server import serve
from deploy.stripe_sandbox.settings import Settings

if __name__ == "__main__":
    serve(Settings(_cli_parse_args=True))
