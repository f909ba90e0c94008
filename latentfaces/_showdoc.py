"The look of `show_doc`: the signature, the docstring, and a table of the parameters."
from fastcore.docments import DocmentTbl
from nbdev.showdoc import BasicMarkdownRenderer


class TableRenderer(BasicMarkdownRenderer):
    "Add a table of parameters to nbdev's own renderer (settings.ini: `renderer`)."
    def _repr_markdown_(self):
        table = DocmentTbl(self.sym)
        return super()._repr_markdown_() + (f"\n\n{table._repr_markdown_()}" if table.has_docment else "")
