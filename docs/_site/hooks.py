"""What mkdocs calls while it builds the site; the pages themselves are plain markdown.

* README, CONTRIBUTING and CHANGELOG become pages, and links that lead out of `docs/` follow them.
* `<!-- generated: NAME ARGUMENTS -->` is replaced by what `generated.py` makes of the code.
* A built page that would fetch anything from another host ends the build.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import generated
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PROJECT = {
    "README.md": "project/readme.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
}
"""Files beside `docs/`, and where they are on the site."""

WIDE = ("comparison.md", "papers.md")
"""Pages whose tables need the room of both columns beside the text."""

_MARK = re.compile(r"^<!-- generated: (.+?) -->$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_FENCED = re.compile(r"(^ *```.*?^ *```|`[^`\n]+`)", re.MULTILINE | re.DOTALL)


@event_priority(100)  # before mkdocstrings, which forgets a folder that is not there yet
def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lay the source out as the package it becomes, so that docstrings are read by module."""
    source = ROOT / "build" / "site-source"
    shutil.rmtree(source, ignore_errors=True)
    only = shutil.ignore_patterns("__pycache__", "*.csv", "*.yaml", "*.j2", "*.css")
    shutil.copytree(ROOT / "promptlab", source / "promptlab", ignore=only)
    for part in ("analysis", "stimuli", "tasks"):
        shutil.copytree(ROOT / part, source / "promptlab" / part, ignore=only)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files beside `docs/` as pages."""
    for name, uri in PROJECT.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what is generated, and turn links to files outside of `docs/`."""
    uri = page.file.src_uri
    if page.parent is None:  # a tab of one page has nothing to navigate
        page.meta["hide"] = ["navigation", "toc"] if uri in WIDE else ["navigation"]
    here = {v: k for k, v in PROJECT.items()}.get(uri, f"docs/{uri}")
    text = _MARK.sub(lambda found: generated.section(*found[1].split()), markdown)

    def turned(found: re.Match[str]) -> str:
        image, label, target = found.groups()
        path, _, anchor = target.partition("#")
        if not path or re.match(r"[a-z][a-z0-9+.-]*:", target):
            return found[0]
        file = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
        inside = PROJECT.get(file) or (file[5:] if file.startswith("docs/") else None)
        if inside is None:
            named = label.strip("`")
            told = named in (file, posixpath.basename(file))
            return f"`{named}`" if told else f"{label} (`{file}`)"
        relative = posixpath.relpath(inside, posixpath.dirname(uri) or ".")
        return f"{image}[{label}]({relative}{'#' if anchor else ''}{anchor})"

    parts = _FENCED.split(text)
    return "".join(p if i % 2 else _LINK.sub(turned, p) for i, p in enumerate(parts))


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that is not whole by itself."""
    site = Path(config.site_dir)
    found = [
        f"{page.relative_to(site)} fetches {address}"
        for page in sorted(site.rglob("*.html"))
        for address in fetched(page.read_text(encoding="utf-8"))
    ]
    for sheet in sorted(site.rglob("*.css")):
        text = sheet.read_text(encoding="utf-8")
        found += [
            f"{sheet.relative_to(site)} fetches {address}"
            for address in re.findall(r"(?:url\(|@import )['\"]?((?:https?:)?//[^)'\"]+)", text)
        ]
    if found:
        raise PluginError("pages fetch nothing from other hosts:\n" + "\n".join(found))


def fetched(page: str) -> list[str]:
    """Addresses on other hosts that a browser would load with a page; links are not among them."""
    parser = _Fetched()
    parser.feed(page)
    return parser.addresses


class _Fetched(HTMLParser):
    """Collects `src` of anything and `href` of `link` that name another host."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        values = dict(attrs)
        names = ["src", "srcset", "data", "poster"]
        if tag == "link" and values.get("rel") not in ("canonical", "alternate", "prev", "next"):
            names.append("href")
        for name in names:
            value = values.get(name) or ""
            if re.match(r"(?:https?:)?//", value):
                self.addresses.append(value)
