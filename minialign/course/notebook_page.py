"""An executed notebook as an HTML page that any browser shows.

The page is one file. It loads nothing but MathJax, which sets the formulas; without a network they
stay as they were typed. A content policy lets no script run that a notebook wrote.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
from pathlib import Path

from nbconvert import HTMLExporter
from nbformat import NotebookNode

MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax@3.2.2/es5/tex-svg.js"
SETTINGS = 'window.MathJax = {tex: {inlineMath: [["$", "$"]], processEscapes: true, tags: "ams"}};'
_HASH = base64.b64encode(hashlib.sha256(SETTINGS.encode()).digest()).decode()
POLICY = (
    "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline'; "
    f"script-src 'sha256-{_HASH}' {MATHJAX}"
)
STYLE = """
.jp-Notebook { max-width: 64rem; margin: auto; }
.jp-OutputArea-output, .jp-MarkdownOutput { overflow-x: auto; }
.jp-OutputArea-output img { max-width: 100%; height: auto; }
details.folded > summary { cursor: pointer; padding: .2rem .4rem; opacity: .7; }
@media (max-width: 40rem) { .jp-InputPrompt, .jp-OutputPrompt { display: none; } }
"""
TEMPLATE = f"""
{{%- extends "lab/index.html.j2" -%}}
{{%- block html_head_js_requirejs -%}}
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
{{%- endblock -%}}
{{%- block html_head_js_mathjax -%}}
<script>{SETTINGS}</script><script async src="{MATHJAX}"></script>
{{%- endblock -%}}
{{%- block html_head_js_mermaidjs -%}}{{%- endblock -%}}
{{%- block jupyter_widgets -%}}{{%- endblock -%}}
{{%- block html_head_css -%}}<style>{STYLE}</style>{{%- endblock -%}}
"""
for _block, _key, _name in (
    ("input", "source_hidden", "code"),
    ("outputs", "outputs_hidden", "output"),
):
    TEMPLATE += f"""
{{%- block {_block} -%}}
{{%- if cell.metadata.get("jupyter", {{}}).get("{_key}") -%}}
<details class="folded"><summary>{_name}</summary>{{{{ super() }}}}</details>
{{%- else -%}}{{{{ super() }}}}{{%- endif -%}}
{{%- endblock -%}}
"""


def html(notebook: NotebookNode, title: str) -> str:
    """The page of a notebook without widgets; what is folded in it is folded here as well."""
    quiet = logging.getLogger(__name__)
    quiet.setLevel(logging.ERROR)  # nbconvert warns of pictures without a description
    exporter = HTMLExporter(raw_template=TEMPLATE, log=quiet)
    return exporter.from_notebook_node(notebook, {"metadata": {"name": title}})[0]


def write_html(notebook: NotebookNode, path: Path) -> None:
    """Write the page of a notebook, whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(html(notebook, path.stem), encoding="utf-8")
    os.replace(fresh, path)
