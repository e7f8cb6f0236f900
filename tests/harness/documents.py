"""Documents in every format, made here: small, valid, and with known words in them."""
import io
import zipfile
import zlib


def pdf(pages, title=None):
    """A minimal PDF 1.4: one line of Helvetica per list item, one page per list."""
    objects = [None, b"<< /Type /Catalog /Pages 2 0 R >>", None,
               b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"]
    kids = []
    for lines in pages:
        text = "BT /F1 12 Tf 72 720 Td 16 TL\n"
        for line in lines:
            escaped = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
            text += f"({escaped}) Tj T*\n"
        stream = zlib.compress((text + "ET").encode("cp1252"))
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
                       b"/Resources << /Font << /F1 3 0 R >> >> >>" % (len(objects) - 1))
        kids.append(len(objects) - 1)
    objects[2] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(kids), b" ".join(b"%d 0 R" % k for k in kids))
    info = b""
    if title:
        objects.append(b"<< /Title (%s) >>" % title.encode("cp1252"))
        info = b" /Info %d 0 R" % (len(objects) - 1)
    out, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects[1:], 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % len(objects)
    out += b"".join(b"%010d 00000 n \n" % o for o in offsets)
    return out + b"trailer\n<< /Size %d /Root 1 0 R%s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects), info, start)


def _zip(files, stored_first=None):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        if stored_first:
            z.writestr(zipfile.ZipInfo(stored_first[0]), stored_first[1], zipfile.ZIP_STORED)
        for name, text in files.items():
            z.writestr(name, text)
    return out.getvalue()


def docx(title, blocks):
    """blocks: (style or None, text); style "Heading1" to "Heading6"."""
    body = ""
    for style, text in blocks:
        properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
        body += f'<w:p>{properties}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    package = "http://schemas.openxmlformats.org/package/2006"
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
    return _zip({
        "[Content_Types].xml": f'{head}<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument.'
        'wordprocessingml.document.main+xml"/></Types>',
        "_rels/.rels": f'{head}<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
        'Target="word/document.xml"/></Relationships>',
        "docProps/core.xml": f'{head}<cp:coreProperties xmlns:cp="{package}/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></cp:coreProperties>',
        "word/document.xml": f'{head}<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>',
    })


def odt(title, blocks):
    """blocks: (heading level or 0, text)."""
    body = "".join(f'<text:h text:outline-level="{level}">{text}</text:h>' if level else f"<text:p>{text}</text:p>"
                   for level, text in blocks)
    ns = "urn:oasis:names:tc:opendocument:xmlns:"
    head = '<?xml version="1.0" encoding="UTF-8"?>'
    kind = "application/vnd.oasis.opendocument.text"
    return _zip({
        "META-INF/manifest.xml": f'{head}<manifest:manifest xmlns:manifest="{ns}manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>',
        "meta.xml": f'{head}<office:document-meta xmlns:office="{ns}office:1.0" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><office:meta><dc:title>{title}</dc:title></office:meta>'
        '</office:document-meta>',
        "content.xml": f'{head}<office:document-content xmlns:office="{ns}office:1.0" xmlns:text="{ns}text:1.0">'
        f'<office:body><office:text>{body}</office:text></office:body></office:document-content>',
    }, ("mimetype", kind))


TOPICS = [
    ("glacier", "The glacier moves slowly down the valley and grinds the rock beneath it into fine flour."),
    ("violin", "A violin maker chooses seasoned spruce for the belly and maple for the back of the instrument."),
    ("volcano", "When the volcano erupts, ash rises into the stratosphere and the sunsets turn red for months."),
    ("sourdough", "A sourdough starter lives on flour and water, and its yeast raises the loaf without any help."),
    ("harbour", "The harbour pilot boards the freighter at dawn and guides it past the sandbank to its berth."),
    ("orchid", "An orchid seed carries no food of its own and waits for a fungus to feed it in the forest."),
    ("railway", "The mountain railway climbs with a rack between the rails wherever the grade is too steep."),
    ("beekeeper", "In early spring the beekeeper lifts the lid of each hive and weighs what honey is left."),
    ("telescope", "The new telescope gathers faint infrared light from galaxies that formed soon after the start."),
    ("paper mill", "The paper mill soaks old rags in lime, beats them to pulp and lifts the sheets on a wire mould."),
]


def article(topic, sections=6, mark=""):
    """Markdown of several chunks about one topic; every paragraph holds the topic's word and `mark`."""
    word, sentence = TOPICS[topic % len(TOPICS)]
    out = [f"# All about the {word} {mark}".rstrip()]
    for n in range(sections):
        out.append(f"## Part {n + 1} on the {word}")
        out += [f"{sentence} {mark} This is note {n + 1}.{m + 1} of the {word} report; people who study it keep such "
                f"remarks in order and compare them with what was written down in year {1900 + 7 * n + m}."
                for m in range(5)]
    return "\n\n".join(out)
