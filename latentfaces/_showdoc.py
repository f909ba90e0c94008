"The look of `show_doc`: name, link to the source, signature, docstring, and a table of the parameters."
import ast
import inspect
import io
import re
import textwrap
import tokenize
from pathlib import Path

from nbdev.config import get_config

EMPTY = inspect.Parameter.empty


def _source_url(function) -> str:
    "Where the lines of a function or class stand in the repository."
    cfg, file = get_config(), Path(inspect.getsourcefile(function))
    lines, first = inspect.getsourcelines(function)
    return f"{cfg.git_url}/blob/{cfg.branch}/{cfg.lib_path.name}/{file.name}#L{first}-L{first + len(lines) - 1}"


def _signature_comments(node: ast.FunctionDef, comments: dict) -> dict:
    "The comment beside each parameter, and the one after the last of them as that of the result."
    a = node.args
    arguments = [x for x in [*a.posonlyargs, *a.args, a.vararg, *a.kwonlyargs, a.kwarg] if x]
    found = {x.arg: comments[x.lineno] for x in arguments if x.lineno in comments}
    after = [comments[n] for n in range(max((x.lineno for x in arguments), default=0) + 1, node.body[0].lineno) if n in comments]
    return found | {"return": after[0]} if after else found


def _comments(
    obj,  # function or class; of a class without a constructor of its own, the comments beside its fields count
) -> dict:
    "Comments that document the parameters, by name."
    constructor = getattr(obj, "__init__", None) if isinstance(obj, type) else None
    written = inspect.isfunction(constructor) and Path(constructor.__code__.co_filename).exists()
    source = textwrap.dedent(inspect.getsource(constructor if written else obj))
    node, tokens = ast.parse(source).body[0], tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    if not isinstance(node, ast.ClassDef): return _signature_comments(node, comments)
    return {f.target.id: comments[f.lineno] for f in node.body if isinstance(f, ast.AnnAssign) and f.lineno in comments}


def _type(annotation) -> str:
    "A type as it is written in the source."
    plain = isinstance(annotation, type) and not hasattr(annotation, "__args__")
    return annotation.__name__ if plain else re.sub(r"\b(?:[a-z_]\w*\.)+", "", str(annotation))


def _row(*cells: str) -> str: return "| " + " | ".join(c.replace("|", "\\|").replace("<", "&lt;") for c in cells) + " |"


class TableRenderer:
    "Markdown for a function, class or property (settings.ini: `renderer`)."
    def __init__(self, sym, name=None, title_level=3):
        self.sym, self.title_level, self.is_property = sym, title_level, isinstance(sym, property)
        self.function = sym.fget if self.is_property else inspect.unwrap(sym)
        self.name = name or self.function.__qualname__
        signature = inspect.signature(self.function)
        self.parameters = [] if self.is_property else [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
        self.returns = signature.return_annotation

    def signature(self) -> str:
        "A call with its defaults and the type of its result, on one line if it fits."
        shown = [str(p.replace(annotation=EMPTY)) for p in self.parameters]
        keyword_only = [i for i, p in enumerate(self.parameters) if p.kind is p.KEYWORD_ONLY]
        if keyword_only and not any(p.kind is p.VAR_POSITIONAL for p in self.parameters): shown.insert(keyword_only[0], "*")
        call, short = self.name.rpartition(".")[2], ", ".join(shown)
        arrow = "" if self.returns in (EMPTY, None) else f" -> {_type(self.returns)}"
        return f"{call}({short}){arrow}" if len(call + short + arrow) < 75 else f"{call}(\n    " + ",\n    ".join(shown) + f",\n){arrow}"

    def table(self) -> str:
        "A row for each parameter, and one for a result that has a comment; nothing where names are all there is to tell."
        comments = _comments(self.function)
        rows = [(f"`{p.replace(annotation=EMPTY, default=EMPTY)}`", "" if p.annotation is EMPTY else _type(p.annotation),
                 "" if p.default is EMPTY else f"`{p.default!r}`", comments.get(p.name, "")) for p in self.parameters]
        if "return" in comments: rows.append(("**returns**", "" if self.returns is EMPTY else _type(self.returns), "", comments["return"]))
        if not any(kind or text for _, kind, _, text in rows): return ""
        heads = ("Parameter", "Type", "Default", "What it is")
        used = [i for i in range(4) if any(row[i] for row in rows)]
        return "\n".join(_row(*(row[i] for i in used)) for row in [heads, ("---",) * 4, *rows])

    def _repr_markdown_(self):
        heading = f"{'#' * self.title_level} {self.name} {{#{self.name.lower()}}}"
        call = "" if self.is_property else f"```python\n{self.signature()}\n```"
        parts = [heading, f"[source]({_source_url(self.function)}){{.api-source}}", call, inspect.getdoc(self.sym) or "", "" if self.is_property else self.table()]
        return "\n\n".join(p for p in parts if p)
