// Before the first figure is made: what quickens the painting of a star quickens that of the page.
import {reload_when_lost} from "./lost.js"
import {quicken_painting} from "./painting.js"

quicken_painting()
reload_when_lost()
