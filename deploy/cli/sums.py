"""`scrip rebuild-usage-sums`: adds every account's usage up anew, from the journal's sealed blocks."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deploy.cli.state import State
from libs.chassis.clock import Clock
from libs.chassis.pool import open_pool
from services.credits.operations import insight
from services.credits.operations.active_prices import ActivePrices


async def rebuild(state: State, console: Console) -> None:
    """Build the sums anew; the stack may run meanwhile, and shows what is there so far."""
    clock = Clock()
    pool = await open_pool(state.database_url("credits"), size=2, name="scrip-sums")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("adding up sealed blocks", total=None)
            async for done, behind in insight.rebuild(pool, clock, ActivePrices(pool, clock)):
                progress.update(task, completed=done, total=done + behind)
    finally:
        await pool.close()
    console.print("The sums of usage are those of the journal's sealed blocks.")
