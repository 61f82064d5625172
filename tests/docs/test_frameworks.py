"""The view of Django that the guide shows: served by Django, with its transactions."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

from docs.pages import ROOT, blocks

_PROJECT = {
    "orders/__init__.py": "",
    "orders/models.py": """
        from django.db import models

        class Order(models.Model):
            item = models.TextField()
    """,
    "orders/workflows.py": """
        from perdure import App, workflow

        @workflow
        async def fulfil(item: str) -> str:
            return f"{item} is on its way"

        app = App("sqlite:///shop.db", workflows=[fulfil])
    """,
    "orders/urls.py": """
        from django.urls import path
        from orders.views import place

        urlpatterns = [path("orders/<item>", place)]
    """,
    "program.py": """
        import anyio
        import django
        from django.conf import settings

        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}},
            INSTALLED_APPS=["orders"],
            ROOT_URLCONF="orders.urls",
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
            ALLOWED_HOSTS=["testserver"],
            USE_TZ=True,
        )
        django.setup()

        from django.core.management import call_command
        from django.db import connection, transaction
        from django.test import Client
        from orders.workflows import app, fulfil

        with app.sync:  # the tables are made
            pass

        call_command("migrate", run_syncdb=True, verbosity=0)
        print(Client().post("/orders/desk").json())
        try:
            with transaction.atomic():
                app.sync.using(connection).start(fulfil.options(id="undone"), "lamp")
                raise LookupError
        except LookupError:
            connection.close()

        async def serve() -> None:
            async with app:
                print(await app.handle(fulfil, "order-1").result(timeout=60))
                print([one.instance_id for one in await app.find()])

        anyio.run(serve)
    """,
}


def test_djangos_view_starts_in_its_transaction(tmp_path: Path) -> None:
    page = ROOT / "docs" / "how-to" / "call-from-sync-code.md"
    (view,) = (block.text for block in blocks(page) if "django" in block.text)
    for name, text in {**_PROJECT, "orders/views.py": view}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text), encoding="utf-8")
    command = [sys.executable, "-W", "error", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.stderr == ""
    assert done.stdout == "{'id': 'order-1'}\ndesk is on its way\n['order-1']\n"
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        assert connection.execute("select item from orders_order").fetchall() == [("desk",)]
