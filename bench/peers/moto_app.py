"""What gunicorn serves: the application that `moto_server` serves, too, without its development server."""

from moto.server import DomainDispatcherApplication, create_backend_app

app = DomainDispatcherApplication(create_backend_app)
