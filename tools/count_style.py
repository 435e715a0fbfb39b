"""Measure the style of a Python code base: sizes, docstrings, comments, names and imports.

Prints one table. Nothing is imported or executed: files are read with ``ast`` and ``tokenize``.

    python -m tools.count_style                             # this repository's package
    python -m tools.count_style PATH ...                    # any folders or files
    python -m tools.count_style --list one-word-functions   # the places behind a figure
    python -m tools.count_style --list no-docstring         # the places that a share lacks

Definitions that hold for every figure:

- A name is private if it starts with an underscore or lies inside a private class or any function.
- Body lines run from the line after the docstring (or after the signature) to the function's last
  line, blank lines and comments included. Decorators, signature and docstring do not count.
- Comments that only steer tools (``noqa``, ``type: ignore``, ``pragma``...) are not comments.
- Tests are skipped, and so are hidden folders, build folders and overloads.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import os
import re
import statistics
import sys
import tokenize
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

# What is measured without arguments: the package beside this folder.
DEFAULT_PATH = Path(__file__).resolve().parents[1] / "dubfew"

# Body lines from which a function counts as long, very long, and in need of a comment.
LONG_BODY = 50
VERY_LONG_BODY = 120
COMMENT_NEEDED = 25

# Folders and files that are not the package: tests, and what builds leave behind.
SKIPPED_FOLDERS = {"test", "tests", "testing", "build", "dist", "site-packages", "node_modules"}
TEST_FILE = re.compile(r"^(test_.*|.*_test|conftest)\.py$")

# Annotations that hold an array, whose shape a reader needs to know.
ARRAY_TYPE = re.compile(r"ndarray|NDArray|Tensor|Array|Image")
# Dimensions are numbers or names, optionally with arithmetic: "N", "3", "2*H", "T + 1", "...".
_DIMENSION = r"\.\.\.|[\w.*+/-]+(?: ?[*+/-] ?[\w.]+)*"
# "[N, 3]", "[4]" and "[]" are shapes; round brackets need two short dimensions: "(B, 3)".
SHAPE_NOTE = re.compile(
    rf"\[\]|\[(?:{_DIMENSION})(?:, ?(?:{_DIMENSION}))*,?\]"
    r"|\((?:\*|\.\.\.|\w{1,3})(?:, ?(?:\*|\.\.\.|\w{1,3}))+\)"
)
# Sections of a docstring, in the styles of Google, NumPy and Sphinx.
ARGS_SECTION = re.compile(r"^\s*(Args|Arguments|Parameters):?\s*$", re.MULTILINE)
RAISES_SECTION = re.compile(r"^\s*Raises:?\s*$", re.MULTILINE)
# Comments that tools read, which are not for people.
TOOL_DIRECTIVE = re.compile(r"#\s*(!|noqa|type:|pragma|mypy:|ruff:|fmt:|isort:|pylint:|-\*-)")
# An error that prose mentions: the word, or a class of errors.
ERROR_NAMED = re.compile(r"\b[Rr]aises?\b|\b[A-Z]\w*(?:Error|Exception)\b")
# Papers cited by a private number ("paper 003"), which no reader can look up.
NUMBERED_PAPER = re.compile(r"\bpaper[\s#]+0\d\d\b", re.IGNORECASE)
# Class names of a single word: one capital, or capitals only.
ONE_WORD_CLASS = re.compile(r"^[A-Z]([a-z0-9]*|[A-Z0-9]*)$")

# First words of an imperative summary. Two kinds are left out on purpose: words that usually open a
# noun phrase ("mean", "light", "frame"), and verbs that say little about code ("see", "let").
_VERBS = """
    abort accept access accumulate activate adapt add adjust admit advance aggregate align
    allocate allow alter amplify analyse analyze animate annotate append apply approximate
    arrange ask assemble assert assign associate attach attempt audit augment authenticate
    average await backpropagate bake balance batch begin bind blend blur bound break bring
    broadcast buffer build bundle cache calculate calibrate call cancel capture carry cast
    catch center centre change check choose clamp classify clean clear clip clone close cluster
    collapse collate collect combine compare compile complete compose composite compress
    compute concatenate configure confirm connect consider construct consume contain continue
    convert convolve copy correct count cover create crop cut cycle darken deactivate decide
    declare decode decompose decompress decrease decrypt deduplicate define deform delete
    deliver denoise derive describe deserialise deserialize destroy detach detect determine
    dilate disable discard disconnect dispatch display dissolve distort distribute divide do
    download downsample downscale draw drive drop dump duplicate edit embed emit enable encode
    encrypt end enforce enlarge enrol enroll ensure enter enumerate erase erode establish
    estimate evaluate examine exchange exclude execute exit expand export expose express extend
    extract extrapolate fade fail feed fetch fill filter finalise finalize find finetune finish
    fire fit fix flatten flip flush focus fold follow force forget fork format forward free
    freeze fuse gather generate get give grab group grow guarantee guess handle hash have hide
    hold identify ignore implement import include increase increment infer inform inherit
    initialise initialize inject insert inspect install instantiate integrate interleave
    interpolate interrupt intersect introduce invalidate invert invoke isolate iterate join
    judge keep kill label launch lay learn leave lift limit link list listen load locate lock
    log lower maintain make manage map mark mask match materialise materialize measure merge
    migrate minimise minimize mirror mix modify monitor mount move multiply mute name negate
    normalise normalize notify observe obtain offset omit open optimise optimize order override
    overwrite pack pad paint parse partition pass paste patch pause perform permute persist
    pick place play plot point pool populate post predict prefer prefetch prepare preprocess
    press prevent print process produce profile project promote prompt propagate protect prove
    provide prune publish pull push put quantise quantize query queue quit raise randomise
    randomize rasterise rasterize reach read rebuild receive recognise recognize recompute
    reconstruct record recover recreate reduce refer refine refresh refuse register regularise
    regularize reject release reload remap remember remove rename render reopen reorder repair
    repeat replace replay report represent request require resample reset reshape resize
    resolve respond restart restore restrict resume retarget retrain retrieve retry return
    reuse reveal reverse revert revoke rewrite roll rotate round route run sample save scale
    scan scatter schedule score scroll scrub seal search seek segment select send separate
    serialise serialize serve set shade sharpen shift show shred shrink shuffle shut sign
    simplify simulate skip slice smooth snap solve sort spawn speak specify splat split spread
    square squeeze stabilise stabilize stack standardise standardize start stitch stop store
    stream strip subclass subdivide submit subsample subscribe subtract suggest sum summarise
    summarize supply support suppress suspend swap switch symmetrise symmetrize sync
    synchronise synchronize synthesise synthesize tag take teach tell terminate tessellate test
    threshold throw tile tint track train transcribe transfer transform translate transpose
    traverse treat triangulate trigger trim truncate try tune turn undistort undo unfold unify
    unlink unload unlock unpack unpickle unproject unregister unroll unseal unsqueeze unwrap
    update upgrade upload upsample upscale use validate vary verify view visit visualise
    visualize vote wait walk warm warn warp watch weigh widen wipe withdraw work wrap write
    yield zero zip zoom
"""
IMPERATIVE_VERBS = frozenset(_VERBS.split())

# Past participles without the endings "ed", "en" and "wn".
_IRREGULAR = """
    begun bent born bought bound brought built caught dealt done felt fought found gone held
    kept laid led left lent lit lost made meant met paid said sent sold sought spent spun stuck
    sung sunk swept taught thought told torn understood undone unmade withheld won worn wound
"""
IRREGULAR_PARTICIPLES = frozenset(_IRREGULAR.split())

# Nouns, adjectives and other words that only look like participles.
_LOOKALIKES = """
    bed between brown children clown creed crown deed down even golden gown green hundred
    indeed kindred kitchen lawn linen men need often oxygen pen red reed screen seed seven
    specimen speed sudden ten then token town weed when women wooden yen
"""
NOT_PARTICIPLES = frozenset(_LOOKALIKES.split())

# Stripped from the ends of words before they are looked up.
EDGE_PUNCTUATION = "`*'\".,:;()!"

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Place:
    """One spot in the code base, printed as ``file:line name``."""

    path: str
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.name}"


@dataclass
class Function:
    """A function or method with what the figures need to know about it.

    Attributes:
        node: its syntax tree.
        place: where it is defined.
        is_public: whether neither it nor anything around it is private.
        is_method: whether it is defined directly in a class.
        docstring: cleaned docstring, empty where there is none.
        body: line numbers of the body.
        signature_comments: comments beside or between the lines of the signature, by line.
        comments: comments in the body, by line.
    """

    node: FunctionNode
    place: Place
    is_public: bool
    is_method: bool
    docstring: str
    body: range
    signature_comments: dict[int, str]
    comments: dict[int, str]

    @property
    def name(self) -> str:
        """Name without the class."""
        return self.node.name

    @property
    def code_lines(self) -> int:
        """Number of lines of signature and body, without decorators and docstring."""
        end = self.node.end_lineno or self.node.lineno
        return end - self.node.lineno + 1 - len(self.docstring.splitlines())

    def arguments(self) -> list[ast.arg]:
        """List the parameters, without ``self`` or ``cls``."""
        spec = self.node.args
        positional = spec.posonlyargs + spec.args
        if self.is_method and positional and positional[0].arg in ("self", "cls"):
            positional = positional[1:]
        starred = [argument for argument in (spec.vararg, spec.kwarg) if argument is not None]
        return positional + spec.kwonlyargs + starred

    def is_annotated(self) -> bool:
        """Tell whether every parameter and the return value have an annotation."""
        complete = all(argument.annotation is not None for argument in self.arguments())
        return complete and self.node.returns is not None

    def handles_arrays(self) -> bool:
        """Tell whether an annotation mentions an array, tensor or image type."""
        annotations = [argument.annotation for argument in self.arguments()] + [self.node.returns]
        return any(ARRAY_TYPE.search(ast.unparse(a)) for a in annotations if a is not None)

    def states_shapes(self) -> bool:
        """Tell whether the docstring or a comment gives the shape of an array."""
        comments = (self.signature_comments | self.comments).values()
        return any(SHAPE_NOTE.search(text) for text in (self.docstring, *comments))

    def raises(self) -> bool:
        """Tell whether the body has a ``raise`` of its own, outside nested functions."""
        return any(isinstance(node, ast.Raise) for node in walk_own_nodes(self.node))

    def starts_with_verb(self) -> bool:
        """Tell whether the docstring's first word is an imperative verb."""
        words = [word.lower().strip(EDGE_PUNCTUATION) for word in self.docstring.split()[:2]]
        # "Name of the voice" is a noun phrase although "name" is a verb, too.
        return bool(words) and words[0] in IMPERATIVE_VERBS and words[1:] != ["of"]


@dataclass
class Module:
    """What one file defines, imports and says.

    Attributes:
        path: path as printed.
        name: dotted module name.
        is_package: whether the file is an ``__init__.py``.
        text: source text.
        comments: every comment that is not a tool directive, by line.
        directives: every comment that steers a tool, by line.
        functions: all functions and methods, nested ones included.
        classes: public classes at module level.
        constants: public upper-case names assigned at module level.
        examples: ``>>>`` lines of docstrings.
        asserts: ``assert`` statements.
        prints: calls of ``print``.
        imports: dotted names that could be modules, with whether the import runs at load time.
    """

    path: str
    name: str
    is_package: bool
    text: str
    comments: dict[int, str] = field(default_factory=dict)
    directives: dict[int, str] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    classes: list[Place] = field(default_factory=list)
    constants: list[Place] = field(default_factory=list)
    examples: list[Place] = field(default_factory=list)
    asserts: list[Place] = field(default_factory=list)
    prints: list[Place] = field(default_factory=list)
    imports: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def line_count(self) -> int:
        """Number of lines of the file."""
        return len(self.text.splitlines())

    def place(self, line: int, name: str) -> Place:
        """Make a place in this file.

        Args:
            line: line number, from 1.
            name: what stands there, as printed.
        """
        return Place(self.path, line, name)


@dataclass
class Figure:
    """One row of the table.

    Attributes:
        key: name for ``--list``.
        label: what is counted.
        hits: the places counted.
        misses: the rest of the whole that a share refers to; None if the figure is no share.
        text: replaces the count where that is not the figure.
    """

    key: str
    label: str
    hits: list[Place]
    misses: list[Place] | None = None
    text: str | None = None

    @property
    def total(self) -> int | None:
        """Number of places that a share refers to."""
        return None if self.misses is None else len(self.hits) + len(self.misses)

    @property
    def percent(self) -> float | None:
        """Share of hits, in percent; None without a whole to refer to."""
        return 100 * len(self.hits) / self.total if self.total else None

    def value(self) -> str:
        """Format the figure for the table."""
        if self.text is not None:
            return self.text
        if self.total is None:
            return str(len(self.hits))
        if self.percent is None:
            return "none to count"
        digits = 1 if 0 < self.percent < 10 else 0
        return f"{self.percent:.{digits}f} % ({len(self.hits)} of {self.total})"


def walk_own_nodes(function: FunctionNode) -> Iterator[ast.AST]:
    """Walk a function's nodes without entering nested functions or classes."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


def is_participle(name: str) -> bool:
    """Tell whether a function's whole name is a past participle, such as ``drawn``."""
    if "_" in name or name in NOT_PARTICIPLES or name in IMPERATIVE_VERBS:
        return False
    return name.endswith(("ed", "en", "wn")) or name in IRREGULAR_PARTICIPLES


class DefinitionVisitor(ast.NodeVisitor):
    """Fills a module with the definitions, imports and statements of its syntax tree."""

    def __init__(self, module: Module) -> None:
        self.module = module
        # Names and kinds of the definitions around the current node, outermost first.
        self.scopes: list[ast.ClassDef | FunctionNode] = []

    def visit_Module(self, node: ast.Module) -> None:
        """Visit the whole file."""
        self._add_examples(node, self.module.name)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Record a function and visit its body."""
        self._add_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        """Record an asynchronous function and visit its body."""
        self._add_function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Record a class and visit its body."""
        if not self.scopes and not node.name.startswith("_"):
            self.module.classes.append(self.module.place(node.lineno, node.name))
        self._add_examples(node, node.name)
        self._visit_inside(node)

    def visit_If(self, node: ast.If) -> None:
        """Visit a condition, but skip what only type checkers read."""
        if ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for child in node.orelse:
                self.visit(child)
        else:
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Record the constants of an assignment."""
        for target in node.targets:
            names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
            for name in names:
                self._add_constant(name)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Record the constant of an annotated assignment."""
        self._add_constant(node.target)
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        """Record ``import a.b``."""
        for alias in node.names:
            self._add_import(alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Record ``from a import b``, where ``b`` may be a module or a name in ``a``."""
        source = node.module or ""
        if node.level:
            parts = self.module.name.split(".")
            kept = len(parts) - node.level + (1 if self.module.is_package else 0)
            source = ".".join(parts[:kept] + ([node.module] if node.module else []))
        for alias in node.names:
            self._add_import(f"{source}.{alias.name}")

    def visit_Assert(self, node: ast.Assert) -> None:
        """Record an ``assert``."""
        self.module.asserts.append(self.module.place(node.lineno, ast.unparse(node)))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Record a call of ``print``."""
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            self.module.prints.append(self.module.place(node.lineno, ast.unparse(node)))
        self.generic_visit(node)

    def _visit_inside(self, node: ast.ClassDef | FunctionNode) -> None:
        self.scopes.append(node)
        self.generic_visit(node)
        self.scopes.pop()

    def _in_function(self) -> bool:
        return any(not isinstance(scope, ast.ClassDef) for scope in self.scopes)

    def _add_function(self, node: FunctionNode) -> None:
        if any(ast.unparse(d).endswith("overload") for d in node.decorator_list):
            return
        names = [scope.name for scope in self.scopes] + [node.name]
        body = find_body_lines(node)
        signature = range(node.lineno, body.start)
        self.module.functions.append(
            Function(
                node=node,
                place=self.module.place(node.lineno, ".".join(names)),
                is_public=not self._in_function() and not any(n.startswith("_") for n in names),
                is_method=bool(self.scopes) and isinstance(self.scopes[-1], ast.ClassDef),
                docstring=ast.get_docstring(node) or "",
                body=body,
                signature_comments=self._comments_in(signature),
                comments=self._comments_in(body),
            )
        )
        self._add_examples(node, node.name)
        self._visit_inside(node)

    def _comments_in(self, lines: range) -> dict[int, str]:
        comments = self.module.comments
        return {line: comments[line] for line in lines if line in comments}

    def _add_constant(self, target: ast.expr) -> None:
        if self.scopes or not isinstance(target, ast.Name):
            return
        if target.id.isupper() and not target.id.startswith("_"):
            self.module.constants.append(self.module.place(target.lineno, target.id))

    def _add_import(self, name: str) -> None:
        self.module.imports.append((name, not self._in_function()))

    def _add_examples(self, node: ast.Module | ast.ClassDef | FunctionNode, name: str) -> None:
        lines = (ast.get_docstring(node) or "").splitlines()
        start = node.body[0].lineno if node.body else 1
        self.module.examples.extend(
            self.module.place(start + offset, f"{name} {line.strip()}")
            for offset, line in enumerate(lines)
            if line.lstrip().startswith(">>>")
        )


def find_body_lines(node: FunctionNode) -> range:
    """Find the lines of a function without decorators, signature and docstring."""
    end = node.end_lineno or node.lineno
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        return range((first.end_lineno or first.lineno) + 1, end + 1)
    # Comments may stand between the signature and the first statement.
    arguments = [n for n in ast.walk(node.args) if isinstance(n, ast.expr | ast.arg)]
    header = [node.returns] if node.returns is not None else arguments
    signature_end = max((n.end_lineno or 0 for n in header), default=node.lineno)
    return range(min(max(signature_end, node.lineno) + 1, first.lineno), end + 1)


def read_module(path: Path, root: Path) -> Module:
    """Read one file.

    Args:
        path: the file.
        root: folder that its dotted name starts from.

    Returns:
        All that the figures need.

    Raises:
        SyntaxError: this Python cannot parse the file.
    """
    data = path.read_bytes()
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    text = data.decode(encoding)
    parts = list(path.relative_to(root).with_suffix("").parts)
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    module = Module(display_path(path), name, is_package, text)
    for token in tokenize.tokenize(io.BytesIO(data).readline):
        if token.type == tokenize.COMMENT:
            kind = module.directives if TOOL_DIRECTIVE.match(token.string) else module.comments
            kind[token.start[0]] = token.string
    DefinitionVisitor(module).visit(ast.parse(data, filename=str(path)))
    return module


def display_path(path: Path) -> str:
    """Shorten a path to what it is from the working directory, if it lies below."""
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.as_posix()


def read_modules(paths: Iterable[Path]) -> list[Module]:
    """Read the Python files of folders, without tests.

    Args:
        paths: folders or files.

    Returns:
        The modules, by path.

    Raises:
        FileNotFoundError: a path does not exist.
        SyntaxError: this Python cannot parse a file.
    """
    # By path, because one of the given folders may lie in another.
    modules = {}
    for start in (path.resolve() for path in paths):
        if not start.exists():
            raise FileNotFoundError(f"{start} does not exist")
        # Dotted names start above the outermost package.
        root = start.parent if start.is_file() else start
        while (root / "__init__.py").exists():
            root = root.parent
        for path in [start] if start.is_file() else sorted(start.rglob("*.py")):
            if path.is_file() and not is_skipped(path.relative_to(start.parent)):
                modules[path] = read_module(path, root)
    return list(modules.values())


def is_skipped(path: Path) -> bool:
    """Tell whether a relative path is a test, hidden or a build product."""
    folders = path.parts[:-1]
    skipped = any(folder in SKIPPED_FOLDERS or folder.startswith(".") for folder in folders)
    return skipped or TEST_FILE.match(path.name) is not None


def divide(
    key: str, label: str, functions: Iterable[Function], test: Callable[[Function], bool]
) -> Figure:
    """Make a figure for the share of functions that pass a test.

    Args:
        key: name for ``--list``.
        label: what is counted.
        functions: the whole that the share refers to.
        test: whether a function counts.
    """
    hits: list[Place] = []
    misses: list[Place] = []
    for function in functions:
        (hits if test(function) else misses).append(function.place)
    return Figure(key, label, hits, misses)


def measure_sizes(modules: list[Module], functions: list[Function]) -> list[Figure]:
    """Count files, lines and long functions.

    Args:
        modules: all modules; their order does not matter.
        functions: all functions of those modules.
    """
    # Largest first, so that ``--list files`` begins with the files to split.
    files = sorted(modules, key=lambda module: -module.line_count)
    places = [module.place(1, f"{module.line_count} lines") for module in files]
    median = statistics.median(module.line_count for module in files)
    largest = f"{files[0].line_count} ({files[0].path})"
    return [
        Figure("files", "package files", places),
        Figure("median-lines", "median lines of a file", places, text=f"{median:.0f}"),
        Figure("largest-file", "lines of the largest file", places[:1], text=largest),
        divide(
            "long-functions",
            f"functions over {LONG_BODY} body lines",
            functions,
            lambda f: len(f.body) > LONG_BODY,
        ),
        divide(
            "very-long-functions",
            f"functions over {VERY_LONG_BODY} body lines",
            functions,
            lambda f: len(f.body) > VERY_LONG_BODY,
        ),
        divide(
            "long-with-signature",
            f"functions over {LONG_BODY} lines, signature included",
            functions,
            lambda f: f.code_lines > LONG_BODY,
        ),
        divide(
            "very-long-with-signature",
            f"functions over {VERY_LONG_BODY} lines, signature included",
            functions,
            lambda f: f.code_lines > VERY_LONG_BODY,
        ),
    ]


def measure_docstrings(modules: list[Module], public: list[Function]) -> list[Figure]:
    """Count what signatures and docstrings of public functions say.

    Args:
        modules: all modules, for their examples.
        public: the public functions of those modules.
    """
    # One parameter is often said by the summary; from two on, readers look for a list.
    several = [f for f in public if len(f.arguments()) > 1]
    raising = [f for f in public if f.raises()]

    def has_args(function: Function) -> bool:
        return ARGS_SECTION.search(function.docstring) is not None

    return [
        divide("annotated", "public functions fully annotated", public, Function.is_annotated),
        divide("docstring", "public functions with docstring", public, lambda f: bool(f.docstring)),
        divide("args", "... with Args, of those with 2+ parameters", several, has_args),
        divide("args-of-all", "... with Args, of all public functions", public, has_args),
        divide(
            "raises",
            "public functions that raise and have Raises",
            raising,
            lambda f: RAISES_SECTION.search(f.docstring) is not None,
        ),
        divide(
            "raises-mentioned",
            "... or say so in prose",
            raising,
            lambda f: ERROR_NAMED.search(f.docstring) is not None,
        ),
        divide(
            "shapes",
            "public array functions that state shapes",
            filter(Function.handles_arrays, public),
            Function.states_shapes,
        ),
        divide(
            "verb-first",
            "docstrings that start with a verb",
            [f for f in public if f.docstring],
            Function.starts_with_verb,
        ),
        Figure("examples", ">>> lines in docstrings", [e for m in modules for e in m.examples]),
    ]


def measure_comments(modules: list[Module], functions: list[Function]) -> list[Figure]:
    """Count comments in function bodies, each line once although functions nest.

    Args:
        modules: all modules, for their comments.
        functions: all functions of those modules, for where their bodies are.
    """
    body_lines = {(f.place.path, line) for f in functions for line in f.body}
    places = [
        module.place(line, text)
        for module in modules
        for line, text in module.comments.items()
        if (module.path, line) in body_lines
    ]
    rate = f"{100 * len(places) / len(body_lines):.1f}" if body_lines else "none to count"
    return [
        Figure("comments", "comments per 100 body lines", places, text=rate),
        divide(
            "uncommented",
            f"functions of {COMMENT_NEEDED}+ body lines without a comment",
            [f for f in functions if len(f.body) >= COMMENT_NEEDED],
            lambda f: not f.comments,
        ),
    ]


def measure_names(modules: list[Module], public: list[Function]) -> list[Figure]:
    """Count public names of one word, participles and names with several definitions.

    Args:
        modules: all modules, for their classes and constants.
        public: the public functions of those modules.
    """
    plain = [f for f in public if not f.is_method]
    methods = [f for f in public if f.is_method]
    classes = [place for module in modules for place in module.classes]
    constants = [place for module in modules for place in module.constants]

    # Methods are read after their object, so short names are fine there: they count apart.
    def is_one_word(function: Function) -> bool:
        return "_" not in function.name

    return [
        divide("one-word-functions", "public functions of one word", plain, is_one_word),
        divide("one-word-methods", "public methods of one word", methods, is_one_word),
        Figure(
            "one-word-classes",
            "public classes of one word",
            [place for place in classes if ONE_WORD_CLASS.match(place.name)],
            [place for place in classes if not ONE_WORD_CLASS.match(place.name)],
        ),
        Figure(
            "one-word-constants",
            "public constants of one word",
            [place for place in constants if "_" not in place.name],
            [place for place in constants if "_" in place.name],
        ),
        Figure(
            "participle-functions",
            "bare participles as function names",
            [f.place for f in plain if is_participle(f.name)],
        ),
        Figure(
            "participle-methods",
            "bare participles as method names",
            [f.place for f in methods if is_participle(f.name)],
        ),
        find_shared_names(classes + [f.place for f in plain]),
    ]


def find_shared_names(definitions: list[Place]) -> Figure:
    """Find classes and functions whose name several modules define."""
    by_name: dict[str, list[Place]] = defaultdict(list)
    for place in definitions:
        # Two definitions in one file are two branches of one definition.
        if place.path not in {other.path for other in by_name[place.name]}:
            by_name[place.name].append(place)
    shared = sorted((p for p in by_name.values() if len(p) > 1), key=lambda p: (-len(p), p[0].name))
    places = [
        Place(place.path, place.line, f"{place.name} ({len(group)} modules)")
        for group in shared
        for place in group
    ]
    text = f"{len(shared)} names in {len(places)} places"
    return Figure("shared-names", "names defined in several modules", places, text=text)


def measure_imports(modules: list[Module]) -> list[Figure]:
    """Count groups of modules that import each other."""
    by_name = {module.name: module for module in modules}
    figures = []
    for key, label, at_load_only in (
        ("import-cycles", "import cycles at module level", True),
        ("lazy-import-cycles", "import cycles with imports in functions", False),
    ):
        graph = {m.name: resolve_imports(m, by_name.keys(), at_load_only) for m in modules}
        cycles = find_cycles(graph)
        places = [
            by_name[name].place(1, f"{name} (cycle {number}, {len(cycle)} modules)")
            for number, cycle in enumerate(cycles, 1)
            for name in cycle
        ]
        text = f"{len(cycles)} ({len(places)} modules)" if cycles else "0"
        figures.append(Figure(key, label, places, text=text))
    return figures


def resolve_imports(module: Module, known: Iterable[str], at_load_only: bool) -> set[str]:
    """List the known modules that a module imports.

    Args:
        module: the importing module.
        known: dotted names of all modules.
        at_load_only: whether to leave out imports inside functions.

    Returns:
        Dotted names, without the module itself.
    """
    found = set()
    for name, at_load in module.imports:
        if at_load_only and not at_load:
            continue
        # "from a import b" is the module a.b if there is one, else a name of a.
        for candidate in (name, name.rpartition(".")[0]):
            if candidate in known:
                found.add(candidate)
                break
    return found - {module.name}


def find_cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Find the groups of nodes that reach each other, largest first.

    Args:
        graph: for every node the nodes it points to.

    Returns:
        Strongly connected components of two nodes and more, each in alphabetical order.
    """

    def reach(start: str, edges: dict[str, set[str]]) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for target in edges[waiting.pop()] - seen:
                seen.add(target)
                waiting.append(target)
        return seen

    # Two nodes are in one group if each can be reached from the other.
    backward: dict[str, set[str]] = {node: set() for node in graph}
    for node, targets in graph.items():
        for target in targets:
            backward[target].add(node)
    cycles = []
    done: set[str] = set()
    for node in graph:
        if node not in done:
            group = reach(node, graph) & reach(node, backward)
            done |= group
            if len(group) > 1:
                cycles.append(sorted(group))
    return sorted(cycles, key=lambda group: (-len(group), group))


def measure_leftovers(modules: list[Module]) -> list[Figure]:
    """Count what library code should have little of."""
    ignores = [
        module.place(line, text)
        for module in modules
        for line, text in (module.directives | module.comments).items()
        if re.search(r"type:\s*ignore", text)
    ]
    # Printing is what command lines are for.
    prints = [
        place
        for module in modules
        if not {"cli", "__main__"} & set(module.name.split("."))
        for place in module.prints
    ]
    citations = [
        module.place(module.text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()))
        for module in modules
        for match in NUMBERED_PAPER.finditer(module.text)
    ]
    return [
        Figure("type-ignores", "type: ignore comments", ignores),
        Figure("asserts", "assert statements", [a for m in modules for a in m.asserts]),
        Figure("prints", "calls of print outside command lines", prints),
        Figure("numbered-papers", "papers cited by number only", citations),
    ]


def measure(modules: list[Module]) -> list[Figure]:
    """Compute every figure, in the order of the table."""
    functions = [function for module in modules for function in module.functions]
    public = [function for function in functions if function.is_public]
    return [
        *measure_sizes(modules, functions),
        *measure_docstrings(modules, public),
        *measure_comments(modules, functions),
        *measure_names(modules, public),
        *measure_imports(modules),
        *measure_leftovers(modules),
    ]


def format_table(figures: list[Figure]) -> str:
    """Lay the figures out in three columns: label, value, name for ``--list``."""
    rows = [(figure.label, figure.value(), figure.key) for figure in figures]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "\n".join(f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in rows)


def format_json(figures: list[Figure]) -> str:
    """Format the figures as one JSON object, by name."""
    return json.dumps(
        {
            figure.key: {
                "label": figure.label,
                "value": figure.value(),
                "count": len(figure.hits),
                "total": figure.total,
                "percent": None if figure.percent is None else round(figure.percent, 1),
            }
            for figure in figures
        },
        indent=2,
    )


def find_places(figures: list[Figure], name: str) -> list[Place] | None:
    """Look up the places behind a figure, or with ``no-`` before its name those it lacks.

    Args:
        figures: all figures.
        name: name of a figure.

    Returns:
        The places; None if no figure has this name.
    """
    for figure in figures:
        if name == figure.key:
            return figure.hits
        if name == f"no-{figure.key}" and figure.misses is not None:
            return figure.misses
    return None


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(description="Measure the style of a Python code base.")
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="folders or files; default: dubfew"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--list",
        metavar="NAME",
        help="print the places behind a figure, named as in the table's last column; "
        "no-NAME prints the places that a share lacks",
    )
    options = parser.parse_args(arguments)
    try:
        modules = read_modules(options.paths or [DEFAULT_PATH])
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        parser.error(str(error))
    if not modules:
        parser.error("no Python files found")
    figures = measure(modules)
    if options.list is None:
        print(format_json(figures) if options.json else format_table(figures))
        return 0
    # From here on only the places behind one figure are printed.
    places = find_places(figures, options.list)
    if places is None:
        parser.error(f"no figure is called {options.list!r}")
    if options.json:
        print(json.dumps([vars(place) for place in places], indent=2))
    else:
        print("\n".join(str(place) for place in places))
    return 0


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as "head", has seen enough. Python would flush once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
