"""What a gateway in production does not have, and one in development has."""

from aiohttp import web

from gateway.http.environment import DEVELOPMENT_PATH, add_environment
from gateway.http.session_tokens import SECURE_COOKIES
from shared.process.settings import Environment


def application(environment: Environment) -> web.Application:
    app = web.Application()
    add_environment(app, environment, ())
    return app


def paths(app: web.Application) -> set[str]:
    return {resource.canonical for resource in app.router.resources()}


def test_only_a_gateway_in_development_says_that_it_is_for_tests() -> None:
    assert paths(application(Environment.DEVELOPMENT)) == {DEVELOPMENT_PATH}
    assert paths(application(Environment.PRODUCTION)) == set()


def test_cookies_of_production_travel_over_tls_only() -> None:
    assert application(Environment.PRODUCTION)[SECURE_COOKIES] is True
    assert application(Environment.DEVELOPMENT)[SECURE_COOKIES] is False
