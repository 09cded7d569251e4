"""The calls that are made most, plain ASGI, because their cost is counted in microseconds."""

from juststorage_api._data._under_way import UploadsUnderWay
from juststorage_api._data.delete import Deletes
from juststorage_api._data.download import Downloads
from juststorage_api._data.page import Pages
from juststorage_api._data.resumable import ResumableUploads
from juststorage_api._data.upload import Uploads

__all__ = ["Deletes", "Downloads", "Pages", "ResumableUploads", "Uploads", "UploadsUnderWay"]
